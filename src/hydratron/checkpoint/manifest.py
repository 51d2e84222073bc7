"""What vouches for a checkpoint folder: its manifest of sizes and hashes.  Needs no torch."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydratron.errors import HydratronError
from hydratron.hashing import file_sha256
from hydratron.job import VALID_NAME

STATE, MANIFEST, CONFIG, METADATA = "state.json", "manifest.json", "config.yaml", ".metadata"


@dataclass(frozen=True)
class Verified:
    """A checkpoint of which every file was what the manifest says; `files` are their names."""

    path: Path
    files: Collection[str]


def verify(path: Path, rank: int = 0, ranks: int = 1) -> Collection[str]:
    """The names of the files; HydratronError unless every one is what the manifest says.

    Rank `rank` of `ranks` reads its share of the files only.
    """
    files = read_manifest(path)
    for name in sorted(files)[rank::ranks]:
        check(path / name, files[name])
    return files.keys()


def config_text(path: Path) -> str:
    """The job's configuration, for whoever goes on from this checkpoint."""
    return text_of(path, CONFIG)


def text_of(path: Path, name: str) -> str:
    """A text of the checkpoint, as the manifest vouches for it."""
    check(path / name, read_manifest(path).get(name))
    try:
        return (path / name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise HydratronError(f"{path / name}: {error}") from None


def state_of(path: Path) -> dict[str, Any]:
    """What is in the file of a checkpoint that is not a tensor; the manifest vouches for it."""
    file = path / STATE
    try:
        state = json.loads(text_of(path, STATE))
    except (ValueError, RecursionError) as error:
        raise HydratronError(f"{file}: is not JSON: {error}") from None
    if not isinstance(state, dict) or not isinstance(state.get("participants", {}), dict):
        raise HydratronError(f"{file}: says neither step nor participants")
    return state


def manifest_files(path: Path) -> Collection[str]:
    """The names of the files, of which nothing else is checked yet."""
    return read_manifest(path).keys()


def read_manifest(path: Path) -> dict[str, Any]:
    """Name -> size and hash, the names plain; HydratronError when something is missing in it."""
    try:
        if not (path / MANIFEST).is_file():
            raise FileNotFoundError("no such file")
        files = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise HydratronError(f"{path}: not a whole checkpoint, {MANIFEST}: {error}") from None
    names = list(files) if isinstance(files, dict) else []
    for name in names:
        if not VALID_NAME.fullmatch(name) or name in (".", ".."):
            raise HydratronError(f"{path}: {MANIFEST} names {name!r}, no file of this folder")
    if not {STATE, METADATA} <= set(names) or not any(n.endswith(".distcp") for n in names):
        raise HydratronError(f"{path}: {MANIFEST} lacks {STATE}, {METADATA} or every shard")
    return dict(files)


def check_sizes(path: Path) -> None:
    """HydratronError unless all files of the manifest are there in their sizes."""
    for name, expected in read_manifest(path).items():
        file, size = path / name, expected.get("bytes") if isinstance(expected, dict) else None
        if not file.is_file() or file.stat().st_size != size:
            raise HydratronError(f"{file}: missing or changed since the checkpoint was written")


def has_its_files(path: Path) -> bool:
    """Whether all files of the manifest are there in their sizes: what can be told in no time."""
    try:
        check_sizes(path)
    except (HydratronError, OSError):
        return False
    return True


def check(file: Path, expected: Any) -> None:
    """HydratronError unless the file has the size and the hash."""
    # A link could name a file of anybody's.
    if file.is_symlink() or not file.is_file() or fingerprint(file) != expected:
        raise HydratronError(f"{file}: missing or changed since the checkpoint was written")


def fingerprint(file: Path) -> dict[str, Any]:
    """Size in bytes and sha256."""
    return {"bytes": file.stat().st_size, "sha256": file_sha256(file)}


def write(file: Path, text: str) -> None:
    """Write a file, and wait until it is on the disk."""
    file.write_text(text, encoding="utf-8")
    flush(file)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def remove(path: Path) -> None:
    """Delete a checkpoint; renamed first, so that a part of it never looks whole."""
    if path.exists():
        shutil.rmtree(_hidden(path), ignore_errors=True)


def replace(partial: Path, path: Path) -> Path | None:
    """Give the whole folder `partial` its name; returns where what was no checkpoint went.

    A checkpoint of that name is deleted, but only when the new one has its place.
    """
    gone: Path | None = None
    aside: Path | None = None
    if (path / MANIFEST).is_file():
        gone = _hidden(path)
    elif path.exists() or path.is_symlink():
        free = (path.with_name(f"{path.name}.aside{number}") for number in itertools.count(1))
        aside = next(name for name in free if not name.exists())
        os.replace(path, aside)
    os.replace(partial, path)
    flush(path.parent)
    if gone is not None:
        shutil.rmtree(gone, ignore_errors=True)
    return aside


def _hidden(path: Path) -> Path:
    gone = path.with_name(f".{path.name}.removed")
    shutil.rmtree(gone, ignore_errors=True)
    os.replace(path, gone)
    return gone
