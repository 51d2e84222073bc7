"""Which files train and which validate: the official names in a folder, or files that are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydratron.config.schema import DataConfig
from hydratron.data.labelled.example import Format
from hydratron.data.manifest import TRAIN, VALIDATION
from hydratron.errors import DataError, Problem


def located(data: DataConfig, form: Format) -> dict[str, list[Path]]:
    """The files of `train` and `validation`.  Raises DataError naming what is not there."""
    assert data.path is not None  # A rule of the configuration.
    place, named = Path(data.path).absolute(), data.validation_path
    if place.is_file() and named is None:
        expected = "a file trains; name the one that validates by data.validation_path"
        raise DataError([Problem("data.path", data.path, expected)])
    train = [place] if place.is_file() else _inside(place, form.train, data.path)
    if named is not None:
        validation = [Path(named).absolute()]
        if not validation[0].exists():
            raise DataError([Problem("data.validation_path", named, "no such file or folder")])
    else:
        validation = _inside(place, form.validation, data.path)
    parts = {TRAIN: train, VALIDATION: validation}
    return {
        part: [file for place in places for file in form.files(place)]
        for part, places in parts.items()
    }


def _inside(place: Path, names: Sequence[str], typed: str) -> list[Path]:
    found = [place / name for name in names if (place / name).exists()]
    if not found:
        expected = f"has no {' or '.join(names)}, the task's files"
        raise DataError([Problem("data.path", typed, expected)])
    return found
