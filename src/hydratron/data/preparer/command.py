"""`hydratron prepare INPUT... --output DIR`: the user's text as a folder of tokens."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from hydratron.data.folders import locked, replacing
from hydratron.data.manifest import SENTENCE, Manifest
from hydratron.data.preparer.blocks import file_blocks
from hydratron.data.preparer.build import Recipe, fill
from hydratron.data.preparer.existing import check_output, describe, is_prepared, same
from hydratron.data.preparer.tokenize import OPENERS, TRAINERS, check_end, tokenizer_identity
from hydratron.data.progress import LateProgress
from hydratron.data.text import next_boundary
from hydratron.data.text.files import InputFile
from hydratron.data.text.finding import find_files
from hydratron.data.text.sentences import splitter
from hydratron.data.text.sources import read_pieces
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import DataError, Problem


@dataclass(frozen=True)
class Request:
    """What the command line asks for; `tokenizer` is the SPEC, `end` its entry that ends a
    document, if named.
    """

    inputs: Sequence[str]
    output: Path
    tokenizer: str
    end: str | None
    vocab_size: int
    keys: Sequence[str]
    level: str
    append_eod: bool
    language: str
    workers: int
    force: bool


@dataclass(frozen=True)
class Outcome:
    """The manifest of the folder, and what was read for it: nothing when it was there already.

    `note` is a line about what lies in the input and is not read.
    """

    manifest: Manifest
    built: bool
    bytes: int = 0
    seconds: float = 0.0
    dropped: int = 0
    note: str = ""


def prepare_files(request: Request, progress: bool) -> Outcome:
    """Fill `request.output`, unless it holds the same already; whole or not at all.

    A folder that holds anything else is refused; `force` replaces one of other tokens.  Raises
    DataError, whose keys are those of the command line.
    """
    begin = time.monotonic()
    output = request.output.absolute()
    try:
        searched = find_files(request.inputs, "INPUT")
        files, note = searched.files, searched.note
        _check_keys(files, request.keys)
        opened = open_tokenizer(request.tokenizer, request.end)
        if request.append_eod:
            advice = "name its own by --eod, or leave it out by --no-append-eod"
            check_end(opened, "--tokenizer", request.tokenizer, advice)
        settings = _settings(request, opened)
        if not is_prepared(output):
            check_output(output, force=False)
        with LateProgress(progress) as bar, locked(output, bar):
            if found := same(output, settings, files, bar):
                return Outcome(found, built=False, note=note)
            check_output(output, request.force)
            with replacing(output) as building:
                built = _build(request, opened, settings, files, building, bar)
    except OSError as error:
        expected = f"cannot be written: {error.strerror or error}"
        raise DataError([Problem("--output", output, expected)]) from error
    return replace(built, seconds=time.monotonic() - begin, note=note)


def _check_keys(files: Sequence[InputFile], keys: Sequence[str]) -> None:
    for key in keys:
        if keys.count(key) > 1 or "/" in key:
            expected = "names a file of the output: each once, and without /"
            raise DataError([Problem("--key", key, expected)])
    text = [file for file in files if file.kind == ".txt"]
    if text and len(keys) > 1:
        expected = f"a .txt file has no keys, so give one --key, not {len(keys)}"
        raise DataError([Problem("INPUT", text[0].path, expected)])


def open_tokenizer(spec: str, end: str | None) -> Tokenizer | None:
    """The tokenizer that a SPEC names, None when it is to be trained; DataError for neither."""
    if spec in TRAINERS and end is not None:
        expected = f"a trained tokenizer has its own; leave it out with {spec}"
        raise DataError([Problem("--eod", end, expected)])
    kind, _, path = spec.partition(":")
    try:
        if kind in OPENERS:
            return OPENERS[kind](os.path.expanduser(path), end)
        if spec in TRAINERS:
            return None
        if (file := Path(os.path.expanduser(spec))).is_file():
            return Tokenizer.load(file, end)
    except DataError as error:
        raise DataError(
            [replace(p, key="--tokenizer", value=spec) for p in error.problems]
        ) from error
    except ValueError as error:
        raise DataError([Problem("--tokenizer", spec, str(error))]) from error
    expected = "gpt2:PATH, bert:PATH, bpe, wordpiece, or the path of a tokenizer.json"
    raise DataError([Problem("--tokenizer", spec, expected)])


def _settings(request: Request, opened: Tokenizer | None) -> dict[str, Any]:
    """Everything but the text that decides what is written."""
    kind = request.tokenizer.partition(":")[0]
    kind = kind if kind in OPENERS or kind in TRAINERS else "file"
    settings: dict[str, Any] = {
        "keys": list(request.keys),
        "level": request.level,
        "append_eod": request.append_eod,
        "tokenizer": tokenizer_identity(kind, request.vocab_size, opened, request.end),
    }
    if request.level == SENTENCE:
        settings["sentences"] = {"language": request.language, "found_by": splitter()}
    return settings


def _build(
    request: Request,
    opened: Tokenizer | None,
    settings: dict[str, Any],
    files: Sequence[InputFile],
    folder: Path,
    bar: LateProgress,
) -> Outcome:
    size = sum(file.size() for file in files)
    tokenizer = opened or _train(request, files, bar, size)
    recipe = Recipe(
        names=[f"{key}_{request.level}" for key in request.keys],
        tokenizer=tokenizer,
        tokenizer_identity=settings["tokenizer"],
        level=request.level,
        append_eod=request.append_eod,
        language=request.language,
        workers=request.workers,
    )
    described = [describe(file) for file in files]
    hashes: list[str] = []

    def origin() -> dict[str, Any]:
        inputs = [file | {"sha256": h} for file, h in zip(described, hashes, strict=True)]
        return {"inputs": inputs, "settings": settings}

    bar.start("encoding the text", size)
    blocks = file_blocks(files, request.keys, recipe.cut, bar.advance, hashes)
    manifest, written = fill(folder, recipe, blocks, origin)
    for name, entry in manifest.datasets.items():
        if not entry.tokens:
            problem = Problem("INPUT", " ".join(request.inputs), f"gives no tokens for {name}")
            raise DataError([problem])
    return Outcome(manifest, True, written.bytes, dropped=written.dropped)


def _train(request: Request, files: Sequence[InputFile], bar: LateProgress, size: int) -> Tokenizer:
    bar.start("training the tokenizer", size * len(request.keys))
    pieces = (
        piece
        for file in files
        for key in request.keys
        for piece in read_pieces(file, key, bar.advance, next_boundary)
    )
    if (first := next(pieces, None)) is None:
        raise DataError([Problem("INPUT", " ".join(request.inputs), "has no text")])
    texts = (piece.text for piece in chain([first], pieces))
    try:
        return TRAINERS[request.tokenizer](texts, request.vocab_size)
    except DataError as error:
        keys = {"tokenizer.vocab_size": "--vocab-size"}
        problems = [replace(p, key=keys.get(p.key, p.key)) for p in error.problems]
        raise DataError(problems) from error
