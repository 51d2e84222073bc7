"""Tokens in the cache: built once for what they are made of, by whichever process comes first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydratron.data.corpus import open_corpus
from hydratron.data.folders import locked, remove_leftovers, replacing
from hydratron.data.progress import LateProgress
from hydratron.errors import DataError, Problem
from hydratron.hashing import json_sha256


def kept(
    cache_dir: str,
    identity: Mapping[str, Any],
    build: Callable[[Path, LateProgress], object],
    *,
    progress: bool,
) -> Path:
    """The absolute path of the tokens with this identity, built when they are not there.

    Any number of processes may ask at once: one builds, the others wait.  A build that is cut off
    leaves no folder.  Raises DataError for a cache that cannot be written.
    """
    cache = Path(cache_dir).absolute()
    folder = cache / json_sha256(identity)[:16]
    if _usable(folder):
        return folder
    try:
        with LateProgress(progress) as bar, locked(folder, bar):
            remove_leftovers(cache)
            if not _usable(folder):
                with replacing(folder) as building:
                    build(building, bar)
    except OSError as error:
        expected = f"cannot be written: {error.strerror or error}"
        raise DataError([Problem("data.cache_dir", cache, expected)]) from error
    return folder


def _usable(folder: Path) -> bool:
    try:
        open_corpus(folder)
    except DataError:
        return False
    return True
