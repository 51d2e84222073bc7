"""Tokens for a job: built once per corpus and tokenizer, then found again by their content.

The folder's name is a hash of everything that decides what is in it, so a changed file or setting
gives another folder, and moved or copied files give the same one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from filelock import FileLock, Timeout

from hydratron.config.schema import DataConfig, TokenizerConfig
from hydratron.data.encode import encode, train_tokenizer
from hydratron.data.indexed import token_dtype
from hydratron.data.prepared import (
    FORMAT,
    MANIFEST,
    TOKENIZER,
    PreparedData,
    check,
    open_prepared,
    training_samples,
    validation_samples,
)
from hydratron.data.progress import LateProgress
from hydratron.data.sources import Source, open_source
from hydratron.data.split import RULE
from hydratron.data.tokenizer import Tokenizer, open_gpt2
from hydratron.errors import DataError, Problem
from hydratron.job import write_json

__all__ = [
    "PreparedData",
    "check",
    "open_prepared",
    "prepare",
    "training_samples",
    "validation_samples",
]

POLL_SECONDS = 0.2


def prepare(data: DataConfig, tokenizer: TokenizerConfig, progress: bool) -> Path:
    """The absolute path of the prepared folder in `data.cache_dir`, built when it is not there.

    Any number of processes may ask at once: one builds, the others wait.  A build that is cut off
    leaves no folder.  `progress` allows a bar on standard error.  Raises DataError.
    """
    source = open_source(data)
    gpt2 = open_gpt2(tokenizer.path) if tokenizer.kind == "gpt2" else None
    identity = {
        "format": FORMAT,
        "source": source.fingerprint(),
        "split": RULE,
        "tokenizer": _tokenizer_identity(tokenizer, gpt2),
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    cache = Path(data.cache_dir).expanduser().absolute()
    folder = cache / key
    if _usable(folder):
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with LateProgress(progress) as bar, _locked(cache / f".{key}.lock", bar):
            _remove_leftovers(cache, key)
            if not _usable(folder):
                with _temporary(cache, key) as building:
                    _build(source, gpt2, tokenizer.vocab_size, identity, building, bar)
                    if folder.exists():
                        shutil.rmtree(folder)
                    building.rename(folder)
    except OSError as error:
        expected = f"cannot be written: {error.strerror or error}"
        raise DataError([Problem("data.cache_dir", cache, expected)]) from error
    return folder


def _tokenizer_identity(config: TokenizerConfig, gpt2: Tokenizer | None) -> dict[str, Any]:
    if gpt2 is not None:
        return {"kind": config.kind, "sha256": gpt2.sha256}
    trained_by = f"tokenizers {tokenizers.__version__}"
    return {"kind": config.kind, "vocab_size": config.vocab_size, "trained_by": trained_by}


def _usable(folder: Path) -> bool:
    try:
        open_prepared(folder)
    except DataError:
        return False
    return True


@contextmanager
def _locked(path: Path, bar: LateProgress) -> Iterator[None]:
    lock = FileLock(path)
    bar.start("waiting for another process that prepares the same data")
    while True:
        try:
            lock.acquire(timeout=POLL_SECONDS)
            break
        except Timeout:
            bar.advance(0)
    try:
        yield
    finally:
        lock.release()


def _remove_leftovers(cache: Path, locked_key: str) -> None:
    """Remove what dead builds left: a live one holds the lock of its key."""
    for leftover in cache.glob(".*.tmp"):
        key = leftover.name.split(".")[1]
        if key == locked_key:
            shutil.rmtree(leftover)
            continue
        with suppress(Timeout), FileLock(cache / f".{key}.lock", timeout=0):
            # It may have become a finished folder just now.
            shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _temporary(cache: Path, key: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=cache, prefix=f".{key}.", suffix=".tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build(
    source: Source,
    gpt2: Tokenizer | None,
    vocab_size: int,
    identity: dict[str, Any],
    folder: Path,
    bar: LateProgress,
) -> None:
    """Fill the folder; the manifest goes last.  No time stamps: the same input, the same bytes."""
    tokenizer = gpt2 or train_tokenizer(source, vocab_size, bar)
    tokenizer.save(folder / TOKENIZER)
    splits = encode(source, tokenizer, folder, bar)
    manifest = identity | {
        "splits": splits,
        "tokenizer": identity["tokenizer"] | {"sha256": tokenizer.sha256},
        "vocab_size": tokenizer.vocab_size,
        "eod": tokenizer.eod,
        "dtype": token_dtype(tokenizer.vocab_size).name,
        "versions": {"numpy": np.__version__, "tokenizers": tokenizers.__version__},
    }
    write_json(folder / MANIFEST, manifest)
