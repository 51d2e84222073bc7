"""What is in the output folder already: the same tokens, others, or something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydratron.data.corpus import open_entry
from hydratron.data.manifest import MANIFEST, TOKENIZER, Manifest, read_manifest, write_manifest
from hydratron.data.progress import LateProgress
from hydratron.data.text.files import InputFile, input_sha256
from hydratron.errors import DataError, Problem
from hydratron.job import read_json


def same(
    output: Path, settings: dict[str, Any], files: Sequence[InputFile], bar: LateProgress
) -> Manifest | None:
    """The manifest of the folder when it holds what would be written, else None.

    Files are compared by name, size and time; where only the time differs, by their hash.
    """
    try:
        manifest = read_manifest(output)
        for name, entry in manifest.datasets.items():
            open_entry(output / name, entry)
    except DataError:
        return None
    stated = [describe(file) for file in files]
    known = manifest.origin.get("inputs", [])
    old = [{name: file[name] for name in ("name", "bytes", "mtime_ns")} for file in known]
    if manifest.origin.get("settings") != settings or not (output / TOKENIZER).is_file():
        return None
    if old == stated:
        return manifest
    if [file | {"mtime_ns": 0} for file in old] != [file | {"mtime_ns": 0} for file in stated]:
        return None
    bar.start("comparing the input", sum(file.size() for file in files))
    for file, before in zip(files, known, strict=True):
        if input_sha256(file.path, bar.advance) != before["sha256"]:
            return None
    inputs = [before | now for before, now in zip(known, stated, strict=True)]
    manifest = replace(manifest, origin={**manifest.origin, "inputs": inputs})
    write_manifest(output, manifest)
    return manifest


def describe(file: InputFile) -> dict[str, Any]:
    """What tells, without reading it, that a file is the one of before."""
    status = file.path.stat()
    return {"name": file.name, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def check_output(output: Path, force: bool) -> None:
    """Raise DataError unless the folder may be written: new, empty, or prepared and `force`."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not is_prepared(output):
        expected = "exists and holds something else; name a folder that does not exist"
        raise DataError([Problem("--output", output, expected)])
    if not force:
        expected = "holds tokens of other text or settings; --force replaces them"
        raise DataError([Problem("--output", output, expected)])


def manifest_of(folder: Path, option: str) -> Manifest:
    """The manifest of a folder that the user named; DataError with `option` as its key."""
    try:
        return read_manifest(folder)
    except DataError as error:
        raise DataError([replace(p, key=option) for p in error.problems]) from error


def is_prepared(folder: Path) -> bool:
    """Whether a folder is of hydratron's making, of whatever format and however damaged."""
    try:
        content = read_json(folder / MANIFEST)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"format", "tokenizer", "vocab_size"} <= content.keys()
