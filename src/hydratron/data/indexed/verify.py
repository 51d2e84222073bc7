"""Whether token files are what they were: their hashes, and every token against the vocabulary."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.indexed.format import CHUNK, bin_path, idx_path
from hydratron.data.indexed.reader import IndexedDataset
from hydratron.errors import DataError, Problem
from hydratron.hashing import file_sha256


def hashes(prefix: str | Path) -> dict[str, str]:
    """The SHA-256 of both files in hexadecimal, under `bin` and `idx`."""
    return {name: file_sha256(path) for name, path in _paths(prefix).items()}


def verify(
    prefix: str | Path,
    vocab_size: int | None,
    sha256: Mapping[str, str] | None,
    advance: Callable[[int], None],
) -> list[Problem]:
    """What is wrong with the files of a prefix; empty when all is well.

    Beside what opening checks, compares them with the hashes `bin` and `idx`, and each token with
    0 <= token < `vocab_size`; either may be None.  Reads both files once, in chunks, and gives
    `advance` the bytes of each.
    """
    try:
        dataset = IndexedDataset(prefix)
    except DataError as error:
        return list(error.problems)
    tokens = None if vocab_size is None else _TokenCheck(dataset, vocab_size)
    problems = []
    for name, path in _paths(prefix).items():
        digest = hashlib.sha256()
        for content in _chunks(path):
            if sha256 is not None:
                digest.update(content)
            if tokens is not None and name == "bin":
                tokens.add(np.frombuffer(content, dataset.dtype))
            advance(len(content))
        if sha256 is not None and digest.hexdigest() != sha256.get(name):
            expected = f"its sha256 is {digest.hexdigest()}; expected {sha256.get(name)}"
            problems.append(Problem("token file", path, expected))
    if tokens is not None:
        problems += tokens.problems()
    return problems


def _paths(prefix: str | Path) -> dict[str, Path]:
    return {"bin": bin_path(prefix), "idx": idx_path(prefix)}


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while content := file.read(CHUNK):
            yield content


class _TokenCheck:
    """Tokens outside the vocabulary: how many, and where the first one is."""

    def __init__(self, dataset: IndexedDataset, vocab_size: int) -> None:
        self.dataset = dataset
        self.vocab_size = vocab_size
        self.seen = 0
        self.wrong = 0
        self.first = (0, "")

    def add(self, tokens: npt.NDArray[Any]) -> None:
        """The next tokens of the file."""
        wrong = outside_vocabulary(tokens, self.vocab_size)
        if wrong is not None:
            if not self.wrong:
                position = int(wrong.argmax())
                self.first = self.seen + position, str(tokens[position])
            self.wrong += int(np.count_nonzero(wrong))
        self.seen += len(tokens)

    def problems(self) -> list[Problem]:
        if not self.wrong:
            return []
        position, token = self.first
        sequence, offset = self.dataset.sequence_at(position)
        place = f"document {self.dataset.document_of(sequence)}, sequence {sequence}"
        expected = (
            f"{place}, offset {offset}: token {token} is outside the vocabulary of "
            f"{self.vocab_size}, as are {self.wrong} of {self.dataset.tokens} tokens in all"
        )
        return [Problem("token file", bin_path(self.dataset.prefix), expected)]


def outside_vocabulary(tokens: npt.NDArray[Any], vocab_size: int) -> npt.NDArray[np.bool_] | None:
    """Where a token is no id of the vocabulary; None when that is nowhere, also without tokens."""
    if not tokens.size:
        return None
    if tokens.dtype.kind == "f":
        # Written so that what is not a number is outside too.
        wrong = ~((tokens >= 0) & (tokens < vocab_size) & (tokens == np.floor(tokens)))
        return wrong if wrong.any() else None
    # As unsigned numbers the negative ones follow the positive ones, so one maximum sees both.
    unsigned = tokens.view(f"u{tokens.dtype.itemsize}")
    limit = min(vocab_size, int(np.iinfo(tokens.dtype).max) + 1)
    return unsigned >= limit if int(unsigned.max()) >= limit else None
