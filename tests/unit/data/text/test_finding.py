"""Which files are text in folders as they are found, and what is said of the others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hydratron.data.text.finding import find_files
from hydratron.errors import DataError


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def names(*paths: Path) -> list[str]:
    return [file.name for file in find_files(paths, "INPUT").files]


def refused(path: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        find_files([path], "INPUT")
    return str(caught.value).splitlines()


def test_folders_are_searched_in_order(tmp_path: Path) -> None:
    make(tmp_path, "b.txt", "a/z.txt.gz", "a/K.JSONL", "a-b/x.txt", ".hidden.txt", ".git/x.txt")
    (tmp_path / "folder.txt").mkdir()
    found = find_files([tmp_path, tmp_path / "b.txt"], "INPUT")
    assert [file.name for file in found.files] == [
        "a/K.JSONL", "a/z.txt.gz", "a-b/x.txt", "b.txt", "b.txt",
    ]  # fmt: skip
    assert found.note == ""


def test_other_files_are_counted_by_their_ending(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b.json", "c.json", "d/e.jsonl.bz2", "README", "f.parquet.gz")
    assert find_files([tmp_path], "INPUT").note == (
        "left out: 5 files other than .txt, .jsonl or .parquet "
        "(2 .json, 1 without ending, 1 .parquet.gz, 1 .jsonl.bz2)"
    )
    make(tmp_path, *(f"x.{i}" for i in range(9)))
    assert find_files([tmp_path], "INPUT").note.endswith(", ...)")


def test_linked_files_and_folders_are_read_once(tmp_path: Path) -> None:
    make(tmp_path / "far", "b.jsonl", "deep/c.txt")
    corpus = make(tmp_path / "corpus", "m/a.jsonl")
    for name, target in {
        "far": "../far", "again": "../far/deep", "m/loop": "..", "loop": "loop2", "loop2": "m",
        "a.jsonl": "m/a.jsonl", "b2.jsonl": "../far/b.jsonl",
    }.items():  # fmt: skip
        (corpus / name).symlink_to(target)
    (tmp_path / "named").symlink_to("corpus")
    for root in (corpus, tmp_path / "named"):
        found = find_files([root], "INPUT")
        assert [file.name for file in found.files] == ["again/c.txt", "far/b.jsonl", "m/a.jsonl"]
        assert found.note == "left out: 6 links to what is read already"


def test_a_link_to_a_file_elsewhere_has_the_name_of_the_link(tmp_path: Path) -> None:
    """As in a cache whose files are named by their hash."""
    make(tmp_path, "blobs/3f2a", "snapshot/x")
    (tmp_path / "snapshot" / "a.parquet").symlink_to("../blobs/3f2a")
    assert names(tmp_path / "snapshot") == ["a.parquet"]


def test_everything_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a.txt")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "self.txt").symlink_to("self.txt")
    os.mkfifo(tmp_path / "pipe.jsonl")
    os.mkfifo(tmp_path / "control")  # would not be read anyway
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.txt"))
    assert refused(tmp_path) == [
        f"INPUT={tmp_path}/gone: is a link to nowhere, which does not exist",
        f"INPUT={tmp_path}/pipe.jsonl: is a pipe; text is read several times, so write it to a "
        "file first",
        f"INPUT={tmp_path}/self.txt: cannot be read: Too many levels of symbolic links",
        f"INPUT={tmp_path}/socket.txt: is a device or a socket; text is read several times, so "
        "write it to a file first",
    ]


UNREADABLE = """
import os, sys
from hydratron.data.text.finding import find_files
if os.getuid() == 0:  # who may read everything
    os.setgroups([]); os.setgid(1234); os.setuid(1234)
try:
    find_files(sys.argv[1:], "INPUT")
except Exception as error:
    print(error)
"""


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    root = make(tmp_path / "t", "a.txt", "b/c.txt", "d.txt")
    for path, mode in ((root, 0o755), (root / "b", 0), (root / "d.txt", 0)):
        path.chmod(mode)
    # From inside: what pytest makes above it may be entered by its owner alone.
    run = subprocess.run(
        [sys.executable, "-c", UNREADABLE, ".", "b/c.txt"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = [f"INPUT={n}: cannot be read: Permission denied" for n in ("d.txt", "b", "b/c.txt")]
    assert run.stdout.splitlines() == expected


def test_what_hydratron_and_wandb_wrote_is_left_out(tmp_path: Path) -> None:
    run = "outputs/wandb/offline-run-20261128_073943-ly5ie7ve"
    make(
        tmp_path, "a.jsonl", "outputs/notes.txt",
        "outputs/s/j/config.yaml", "outputs/s/j/overrides.yaml", "outputs/s/j/metrics.jsonl",
        "outputs/s/j/logs/rank_0.txt", f"{run}/files/requirements.txt", f"{run}/run-ly5ie7ve.wandb",
        "tokens/manifest.json", "tokens/tokenizer.json", "tokens/x.txt",
        "outputs/cache/1/selection.json", "outputs/cache/1/tokenizer.json",
    )  # fmt: skip
    (tmp_path / "outputs/wandb/latest-run").symlink_to(run.rpartition("/")[2])
    (tmp_path / "outputs/wandb/debug.log").symlink_to("gone")
    found = find_files([tmp_path], "INPUT")
    assert [file.name for file in found.files] == ["a.jsonl", "outputs/notes.txt"]
    assert found.note == "left out: 4 folders that hydratron or W&B wrote"
    assert refused(tmp_path / run.rpartition("/")[0])[-1] == (
        f"INPUT={tmp_path}/outputs/wandb/debug.log: is a link to gone, which does not exist"
    )
    (tmp_path / "outputs/wandb/debug.log").unlink()
    assert refused(tmp_path / "outputs/wandb") == [
        f"INPUT={tmp_path}/outputs/wandb: the folder has no .txt, .jsonl or .parquet file; left "
        "out: 1 folder that hydratron or W&B wrote; 1 link to what is read already"
    ]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda folder: folder / "none", "does not exist; expected a .txt, .jsonl (also .gz,"),
        (lambda folder: folder, "the folder has no .txt, .jsonl or .parquet file"),
        (lambda folder: Path(__file__), "is not a .txt, .jsonl (also .gz, .xz, .zst) or .parquet"),
        (lambda folder: Path("/dev/null"), "is a device or a socket; text is read several times"),
    ],
)
def test_paths_without_text_are_refused(
    tmp_path: Path, made: Callable[[Path], Path], reason: str
) -> None:
    path = made(tmp_path)
    (line,) = refused(path)
    assert line.startswith(f"INPUT={path}: {reason}")
