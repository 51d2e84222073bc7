"""Writes token files, of any number of sequences in a few megabytes of memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from hydratron.data.indexed.format import (
    CHUNK,
    CODES,
    HEADER,
    MAGIC,
    VERSION,
    bin_path,
    idx_path,
)
from hydratron.data.indexed.reader import IndexedDataset
from hydratron.job import beside

LONGEST = np.iinfo(np.int32).max


class IndexedDatasetWriter:
    """Writes `PREFIX.bin`/`PREFIX.idx`, under temporary names until the block ends well.

    One call of `add_document` per document, or `add` for each of its sequences and then
    `end_document`, or `add_documents` for many at once; `extend` is for a sequence in parts.  An
    exception that leaves the block leaves no file behind.  float32 gets code 7, which Megatron-LM
    up to 2.x reads as float64.
    """

    def __init__(self, prefix: str | Path, dtype: npt.DTypeLike) -> None:
        self.prefix = Path(prefix)
        self.dtype = np.dtype(dtype).newbyteorder("<")
        if self.dtype not in CODES:
            raise ValueError(f"{self.dtype} has no code in the format")
        self.sequences = 0
        self.documents = 0
        self._ended = 0
        self._growing = 0
        self._temporaries: list[str] = []

    def __enter__(self) -> IndexedDatasetWriter:
        self.prefix.parent.mkdir(parents=True, exist_ok=True)
        # The format wants all lengths before all documents: both wait in nameless files.
        folder = self.prefix.parent
        self._waiting = ExitStack()
        self._sizes = self._waiting.enter_context(tempfile.TemporaryFile(dir=folder))
        self._documents = self._waiting.enter_context(tempfile.TemporaryFile(dir=folder))
        self._bin = self._open()
        return self

    def _open(self) -> IO[bytes]:
        path = beside(self.prefix)
        self._temporaries.append(str(path))
        return path.open("xb")

    def add(self, tokens: npt.ArrayLike) -> None:
        """Append one sequence, [length]; ValueError when a token does not fit the type."""
        given = self._fitting(tokens)
        self._append(given, np.array([given.size]))

    def extend(self, tokens: npt.ArrayLike) -> None:
        """Append to the sequence that `end_sequence` ends, [length]; ValueError as `add`."""
        given = self._fitting(tokens)
        self._append(given, np.empty(0, np.int64))
        self._growing += given.size

    def end_sequence(self) -> None:
        """The tokens of all `extend` since the last call are one sequence."""
        self._append(np.empty(0, self.dtype), np.array([self._growing]))
        self._growing = 0

    def end_document(self) -> None:
        """The sequences added since the last call are one document."""
        self._end(np.array([self.sequences]))

    def add_document(self, sequences: Iterable[npt.ArrayLike]) -> None:
        """Append a whole document."""
        for sequence in sequences:
            self.add(sequence)
        self.end_document()

    def add_documents(
        self,
        tokens: npt.ArrayLike,
        sizes: npt.NDArray[np.integer[Any]],
        sequences_per_document: npt.NDArray[np.integer[Any]],
    ) -> None:
        """Append whole documents: their tokens [total], the length of each sequence in tokens
        [sequences], and the sequences of each document [documents].

        ValueError when the three do not fit together, and as `add`.
        """
        given = self._fitting(tokens)
        lengths = np.asarray(sizes, np.int64)
        counts = np.asarray(sequences_per_document, np.int64)
        self._require_ended()
        if (lengths < 0).any() or (counts < 0).any():
            raise ValueError("a length or a number of sequences is negative")
        if lengths.sum() != given.size:
            raise ValueError(f"{given.size} tokens, but the lengths add up to {lengths.sum()}")
        if counts.sum() != lengths.size:
            raise ValueError(f"{lengths.size} sequences, but the documents have {counts.sum()}")
        ends = self.sequences + np.cumsum(counts)
        self._append(given, lengths)
        self._end(ends)

    def add_dataset(self, dataset: IndexedDataset) -> None:
        """Append every document of an open dataset of the same type."""
        self._require_ended()
        if dataset.dtype != self.dtype:
            raise ValueError(f"tokens of {dataset.dtype}, not of {self.dtype}")
        before = self.sequences
        with bin_path(dataset.prefix).open("rb") as file:
            shutil.copyfileobj(file, self._bin, CHUNK)
        nothing = np.empty(0, self.dtype)
        for start in range(0, len(dataset), CHUNK):
            self._append(nothing, dataset.sizes[start : start + CHUNK])
        for start in range(1, len(dataset.doc_idx), CHUNK):
            self._end(before + dataset.doc_idx[start : start + CHUNK])

    def _fitting(self, tokens: npt.ArrayLike) -> npt.NDArray[Any]:
        given = np.asarray(tokens)
        if given.ndim != 1:
            raise ValueError(f"a sequence has one dimension, not {given.ndim}")
        if given.dtype == self.dtype or not given.size:
            return given.astype(self.dtype, copy=False)
        low, high = given.min(), given.max()
        if self.dtype.kind == "f" and given.dtype.kind == "f":
            fits = True
        elif self.dtype.kind == "f":
            # Integers beyond the mantissa would be written as their neighbours.
            fits = max(-int(low), int(high)) <= 2 ** (np.finfo(self.dtype).nmant + 1)
        else:
            limits = np.iinfo(self.dtype)
            fits = given.dtype.kind in "iu" and limits.min <= low and high <= limits.max
        if not fits:
            raise ValueError(f"tokens {low} to {high} do not fit {self.dtype}")
        return given.astype(self.dtype)

    def _append(self, tokens: npt.NDArray[Any], sizes: npt.NDArray[np.integer[Any]]) -> None:
        if sizes.size and sizes.max() > LONGEST:
            raise ValueError(f"a sequence of {sizes.max()} tokens; at most {LONGEST}")
        self._bin.write(np.ascontiguousarray(tokens).data)
        self._sizes.write(sizes.astype("<i4").data)
        self.sequences += sizes.size

    def _end(self, ends: npt.NDArray[np.integer[Any]]) -> None:
        """One document ends before each of these sequences."""
        if ends.size:
            self._documents.write(ends.astype("<i8").data)
            self.documents += ends.size
            self._ended = int(ends[-1])

    def _require_ended(self) -> None:
        if self._growing or self._ended != self.sequences:
            raise ValueError("the last document was not ended")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._bin.close()
            if kind is None:
                self._finish()
        finally:
            self._waiting.close()
            for name in self._temporaries:
                Path(name).unlink(missing_ok=True)

    def _finish(self) -> None:
        self._require_ended()
        with self._open() as file:
            # Documents are delimited, so they have one entry more.
            counts = self.sequences, self.documents + 1
            file.write(HEADER.pack(MAGIC, VERSION, CODES[self.dtype], *counts))
            for sizes in _chunks(self._sizes, "<i4"):
                file.write(sizes.data)
            end = 0
            for sizes in _chunks(self._sizes, "<i4"):
                lengths = sizes.astype("<i8") * self.dtype.itemsize
                ends = end + np.cumsum(lengths)
                file.write((ends - lengths).data)
                end = int(ends[-1])
            file.write(bytes(8))
            for documents in _chunks(self._documents, "<i8"):
                file.write(documents.data)
        # The index goes last: without it a reader sees no dataset, and an older one would be read
        # with the new tokens.
        idx_path(self.prefix).unlink(missing_ok=True)
        targets = bin_path(self.prefix), idx_path(self.prefix)
        for name, target in zip(self._temporaries, targets, strict=True):
            os.replace(name, target)


def _chunks(file: IO[bytes], dtype: str) -> Iterator[npt.NDArray[Any]]:
    """What was written to the file, from its start."""
    file.seek(0)
    width = np.dtype(dtype).itemsize
    while content := file.read(CHUNK * width):
        yield np.frombuffer(content, dtype)
