"""Which files train and which validate, and by which option what is missing is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydratron.config.schema import DataConfig
from hydratron.data.labelled.glue import MNLI, SST2
from hydratron.data.labelled.place import located
from hydratron.data.labelled.race import RACE
from hydratron.errors import DataError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Official folders of the three tasks, and a folder without anything."""
    for name in ("sst2/train.tsv", "sst2/dev.tsv", "mnli/train.tsv", "mnli/dev_mismatched.tsv",
                 "race/train/high/1.txt", "race/dev/middle/2.txt", "race/dev/high/3.txt",
                 "empty/other"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def validating(place: Path, form: object, path: str, other: str) -> list[str]:
    data = DataConfig(path=str(place / path), validation_path=str(place / other))
    found = located(data, form)["validation"]  # type: ignore[arg-type]
    return [file.relative_to(place).as_posix() for file in found]


def test_what_validates_may_be_a_folder_of_the_task(place: Path) -> None:
    assert validating(place, SST2, "sst2/train.tsv", "sst2") == ["sst2/dev.tsv"]
    assert validating(place, SST2, "sst2", "sst2/train.tsv") == ["sst2/train.tsv"]
    assert validating(place, MNLI, "mnli", "mnli") == ["mnli/dev_mismatched.tsv"]
    both = ["race/dev/high/3.txt", "race/dev/middle/2.txt"]
    assert validating(place, RACE, "race", "race") == both
    assert validating(place, RACE, "race", "race/dev") == both
    assert validating(place, RACE, "race", "race/dev/high") == both[:1]


@pytest.mark.parametrize(
    ("form", "path", "other", "said"),
    [
        (SST2, "sst2", "empty", "data.validation_path={}/empty: has no dev.tsv"),
        (SST2, "empty", "sst2", "data.path={}/empty: has no train.tsv"),
        (SST2, "sst2", "none", "data.validation_path={}/none: no such file or folder"),
        (RACE, "race", "empty", "data.validation_path={}/empty: holds no .txt file of RACE"),
    ],
)
def test_what_is_missing_is_told_by_its_option(
    form: object, path: str, other: str, said: str, place: Path
) -> None:
    with pytest.raises(DataError) as refused:
        validating(place, form, path, other)
    assert str(refused.value).startswith(said.format(place))
