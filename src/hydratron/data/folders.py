"""A folder that appears whole or not at all, however many processes want to write it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import BaseFileLock, Timeout

from hydratron.job import beside
from hydratron.locks import acquire

if TYPE_CHECKING:  # A rank has no progress bar, and need not have rich.
    from hydratron.data.progress import LateProgress

POLL_SECONDS = 0.2
# The name of the folder in the making, then eight characters.
TEMPORARY = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.tmp")


@contextmanager
def locked(folder: Path, bar: LateProgress) -> Iterator[None]:
    """Nobody else writes this folder meanwhile; what dead ones left of it is removed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    bar.start("waiting for another process that prepares the same data")
    while True:
        try:
            lock = _lock(folder.parent, folder.name, POLL_SECONDS)
            break
        except Timeout:
            bar.advance(0)
    try:
        for leftover in _leftovers(folder.parent):
            if _owner(leftover) == folder.name:
                shutil.rmtree(leftover)
        yield
    finally:
        lock.release()


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` when the block ends well.

    Who may read it, and write beside it, is for the umask to say.
    """
    building = _temporary(folder)
    building.mkdir()
    try:
        yield building
        if folder.exists():
            old = _temporary(folder)
            try:
                folder.rename(old)
                building.rename(folder)
            finally:
                shutil.rmtree(old, ignore_errors=True)
        else:
            building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Remove what dead builds left of any folder in `parent`: a live one holds its lock."""
    for leftover in _leftovers(parent):
        with suppress(Timeout):
            lock = _lock(parent, _owner(leftover), 0)
            # It may have become a finished folder just now.
            shutil.rmtree(leftover, ignore_errors=True)
            lock.release()


def _lock(parent: Path, name: str, timeout: float) -> BaseFileLock:
    return acquire(parent / f".{name}.lock", timeout)


def _temporary(folder: Path) -> Path:
    hidden = beside(folder)
    return hidden.with_name(f"{hidden.name}.tmp")


def _leftovers(parent: Path) -> list[Path]:
    return [path for path in parent.glob(".*.tmp") if TEMPORARY.fullmatch(path.name)]


def _owner(leftover: Path) -> str:
    found = TEMPORARY.fullmatch(leftover.name)
    assert found
    return found["name"]
