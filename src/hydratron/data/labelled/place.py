"""Which files train and which validate: the official names in a folder, or files that are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydratron.config.schema import DataConfig
from hydratron.data.labelled.example import Format
from hydratron.data.manifest import TRAIN, VALIDATION
from hydratron.errors import DataError, Problem

VALIDATES = "data.validation_path"


def located(data: DataConfig, form: Format) -> dict[str, list[Path]]:
    """The files of `train` and `validation`.  Raises DataError naming what is not there."""
    assert data.path is not None  # A rule of the configuration.
    place, named = Path(data.path).absolute(), data.validation_path
    if place.is_file() and named is None:
        expected = f"a file trains; name the one that validates by {VALIDATES}"
        raise DataError([Problem("data.path", data.path, expected)])
    train = [place] if place.is_file() else _inside(place, form.train, data.path)
    if named is not None:
        other = Path(named).absolute()
        if not other.exists():
            raise DataError([Problem(VALIDATES, named, "no such file or folder")])
        # A folder of the task's files, or one that a task reads whole.
        whole = other.is_file() or (form.folders and not (other / form.validation[0]).exists())
        validation = [other] if whole else _inside(other, form.validation, named, VALIDATES)
    else:
        validation = _inside(place, form.validation, data.path)
    return {
        TRAIN: [file for one in train for file in form.files(one, "data.path")],
        VALIDATION: [file for one in validation for file in form.files(one, key_of(data))],
    }


def key_of(data: DataConfig) -> str:
    """The option that names what validates."""
    return VALIDATES if data.validation_path is not None else "data.path"


def _inside(place: Path, names: Sequence[str], typed: str, key: str = "data.path") -> list[Path]:
    found = [place / name for name in names if (place / name).exists()]
    if not found:
        expected = f"has no {' or '.join(names)}, the task's files"
        raise DataError([Problem(key, typed, expected)])
    return found
