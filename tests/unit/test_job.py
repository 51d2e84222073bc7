"""Files that appear whole, readable for whom the user wants."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hydratron.cli import main
from hydratron.data.folders import replacing as replacing_folder
from hydratron.job import write_text
from tests.helpers.disk import full_disk


def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_text(path, "old")
    with full_disk(), pytest.raises(OSError, match=r"page\.html") as told:
        write_text(path, "x" * 100_000)
    assert told.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mask", [0o077, 0o002])
def test_the_umask_says_who_may_read_and_write(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "text")
        with replacing_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~mask


def test_a_command_says_in_one_line_what_the_disk_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "config.yaml").write_text("seed: 1\n")
    with full_disk():
        assert main(["report", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"hydratron: {tmp_path}/dashboard.html: File too large\n"
    assert not (tmp_path / "dashboard.html").exists()
