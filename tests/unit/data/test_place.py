"""Tokens are found again where the job was moved to together with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydratron.config.schema import DataConfig
from hydratron.data.place import tokens_of
from hydratron.errors import DataError


def test_the_written_place_comes_first(tmp_path: Path) -> None:
    for root in ("a", "b"):
        (tmp_path / root / "outputs" / "cache" / "1f").mkdir(parents=True)
    data = DataConfig(prepared=str(tmp_path / "a" / "outputs" / "cache" / "1f"))
    job = tmp_path / "b" / "outputs" / "sweep" / "000_job"
    assert tokens_of(data, job) == tmp_path / "a" / "outputs" / "cache" / "1f"


@pytest.mark.parametrize("job", ["outputs/sweep/000_job", "outputs/job", "elsewhere/deep/er/job"])
def test_then_the_cache_that_came_along(tmp_path: Path, job: str) -> None:
    moved = tmp_path / "outputs" / "cache" / "1f"
    moved.mkdir(parents=True)
    assert tokens_of(DataConfig(prepared="/gone/outputs/cache/1f"), tmp_path / job) == moved


def test_without_either_one_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as told:
        tokens_of(DataConfig(prepared="/gone/outputs/cache/1f"), tmp_path / "job")
    (line,) = str(told.value).splitlines()
    assert line.startswith("data.prepared=/gone/outputs/cache/1f: not there, ")
    assert "--prepared FOLDER" in line
