"""Encoded documents to token files, in the order of the text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.indexed import IndexedDatasetWriter, hashes
from hydratron.data.manifest import SENTENCE, DatasetEntry
from hydratron.data.preparer.work import Batch, Encoded, Job

# The format counts the tokens of a sequence in int32; a longer document gets several sequences.
LONGEST_SEQUENCE = 1 << 30


@dataclass(frozen=True)
class Written:
    """What became of the text: its UTF-8 bytes, its datasets, and documents without a token."""

    bytes: int
    datasets: dict[str, DatasetEntry]
    dropped: int


def write_datasets(
    folder: Path, names: Sequence[str], encoded: Iterable[Encoded], job: Job
) -> Written:
    """Write `NAME.bin` and `NAME.idx` for every name; dataset i has the name i."""
    size = 0
    with ExitStack() as stack:
        outputs = [
            _Output(stack.enter_context(IndexedDatasetWriter(folder / name, job.dtype)), job)
            for name in names
        ]
        for block in encoded:
            size += block.bytes
            if block.part is None:
                for output, batch in zip(outputs, block.batches, strict=True):
                    output.add(batch)
            else:
                dataset, ends = block.part
                outputs[dataset].add_part(block.batches[0], ends)
    entries = {
        name: DatasetEntry(
            output.writer.documents, output.writer.sequences, output.tokens, hashes(folder / name)
        )
        for name, output in zip(names, outputs, strict=True)
    }
    return Written(size, entries, sum(output.dropped for output in outputs))


class _Output:
    """One dataset; a document in parts is written as its parts come."""

    def __init__(self, writer: IndexedDatasetWriter, job: Job) -> None:
        self.writer = writer
        self.tokens = 0
        self.dropped = 0
        self._end = np.array([] if job.end is None else [job.end], job.dtype)
        self._sentences = job.level == SENTENCE
        self._open = 0  # tokens of the sequence that may go on

    def add(self, batch: Batch) -> None:
        self.writer.add_documents(batch.tokens, batch.sizes, batch.sequences)
        self.tokens += batch.tokens.size
        self.dropped += batch.dropped

    def add_part(self, batch: Batch, ends: bool) -> None:
        """The next part of a document; its last sequence stays open, for more or for `eod`."""
        ends_at = np.cumsum(batch.sizes)
        for end, size in zip(ends_at, batch.sizes, strict=True):
            if self._open and (self._sentences or self._open + size > LONGEST_SEQUENCE):
                self._close()
            self._extend(batch.tokens[end - size : end])
        if not ends:
            return
        if self._open:
            self._extend(self._end)
            self._close()
            self.writer.end_document()
        else:
            self.dropped += 1

    def _extend(self, tokens: npt.NDArray[Any]) -> None:
        self.writer.extend(tokens)
        self._open += tokens.size
        self.tokens += tokens.size

    def _close(self) -> None:
        self.writer.end_sequence()
        self._open = 0
