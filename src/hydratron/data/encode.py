"""Text to token files: trains or opens the tokenizer, then encodes both splits in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.indexed import IndexedDatasetWriter, bin_path, idx_path, token_dtype
from hydratron.data.progress import LateProgress
from hydratron.data.sources import Source
from hydratron.data.split import SPLITS, TRAIN, next_boundary, split_documents
from hydratron.data.tokenizer import Tokenizer, train_bpe

# The tokenizer needs about 100 bytes per character, so long documents go through it in pieces;
# a batch has enough pieces to keep the cores busy.
PIECE_CHARACTERS = 1 << 16
BATCH_PIECES = 32

Piece = tuple[str, str, bool]
"""Split, text, and whether the text ends its document."""


def train_tokenizer(source: Source, vocab_size: int, bar: LateProgress) -> Tokenizer:
    """Byte-level BPE of the training split; DataError when that is too small for it."""
    bar.start("training the tokenizer", source.size())
    training = (text for split, text, _ in _pieces(source, bar) if split == TRAIN)
    return train_bpe(training, vocab_size)


def encode(
    source: Source, tokenizer: Tokenizer, folder: Path, bar: LateProgress
) -> dict[str, dict[str, Any]]:
    """Write `{train,validation}.{bin,idx}`; returns documents, tokens and hashes of each."""
    bar.start("encoding the text", source.size())
    dtype = token_dtype(tokenizer.vocab_size)
    counts = {split: {"documents": 0, "tokens": 0} for split in SPLITS}
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(IndexedDatasetWriter(folder / split, dtype))
            for split in SPLITS
        }
        for split, tokens in _documents(_pieces(source, bar), tokenizer, dtype):
            writers[split].add_document([tokens])
            counts[split]["documents"] += 1
            counts[split]["tokens"] += len(tokens)
    return {split: counts[split] | {"sha256": _hashes(folder / split)} for split in SPLITS}


def _pieces(source: Source, bar: LateProgress) -> Iterator[Piece]:
    for split, text in split_documents(source):
        start = 0
        while start < len(text):
            end = next_boundary(text, min(start + PIECE_CHARACTERS, len(text)))
            piece = text[start:end]
            yield split, piece, end == len(text)
            bar.advance(len(piece.encode()))
            start = end


def _documents(
    pieces: Iterable[Piece], tokenizer: Tokenizer, dtype: np.dtype[Any]
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """(split, tokens) of every document, closed by `eod`."""
    parts: list[npt.NDArray[Any]] = []
    for batch in _batches(pieces):
        encoded = tokenizer.encode_batch([text for _, text, _ in batch])
        for (split, _, ends), ids in zip(batch, encoded, strict=True):
            parts.append(np.array(ids, dtype))
            if ends:
                yield split, np.concatenate([*parts, np.array([tokenizer.eod], dtype)])
                parts = []


def _batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Groups of pieces with about the same number of characters."""
    batch: list[Piece] = []
    characters = 0
    for piece in pieces:
        batch.append(piece)
        characters += len(piece[1])
        if characters >= BATCH_PIECES * PIECE_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _hashes(prefix: Path) -> dict[str, str]:
    paths = {"bin": bin_path(prefix), "idx": idx_path(prefix)}
    return {name: _sha256(path) for name, path in paths.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
