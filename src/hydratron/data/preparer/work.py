"""One block of text to tokens: what a worker process does."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hydratron.data.encode import Encoder
from hydratron.data.manifest import DOCUMENT
from hydratron.data.preparer.blocks import Block, Part
from hydratron.data.text.sentences import split_sentences
from hydratron.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Job:
    """What every block needs, as plain values for another process."""

    tokenizer: str
    dtype: str
    datasets: int
    level: str
    end: int | None
    """The token that closes a document, if any."""
    language: str


class Batch(NamedTuple):
    """Encoded documents of one dataset: `tokens` [total], `sizes` [sequences] in tokens,
    `sequences` [documents], and how many documents gave no token."""

    tokens: npt.NDArray[Any]
    sizes: npt.NDArray[np.int64]
    sequences: npt.NDArray[np.int64]
    dropped: int


class Encoded(NamedTuple):
    """A block's batches, one for each dataset; `part` when it is a piece of one document."""

    batches: list[Batch]
    part: tuple[int, bool] | None
    """Dataset and whether the document ends; its tokens are in `batches[0]`, without `eod`."""
    bytes: int
    """Of the text, as UTF-8 and with what is around it in the lines of a file."""


class Worker:
    """Encodes blocks, and remembers the words it has seen from one to the next."""

    def __init__(self, job: Job) -> None:
        tokenizer = Tokenizer.from_json(job.tokenizer)
        self._job = job
        self._dtype = np.dtype(job.dtype)
        self._encoder = Encoder(tokenizer, self._dtype)
        self._end = np.array([] if job.end is None else [job.end], self._dtype).tobytes()

    def __call__(self, block: Block) -> Encoded:
        """Raises DataError for a line that cannot be read."""
        if isinstance(block, Part):
            dataset, text, ends = block.fragment
            return Encoded([self._batch([text], end=b"")], (dataset, ends), block.bytes)
        texts: list[list[str]] = [[] for _ in range(self._job.datasets)]
        for dataset, text in block.read():
            texts[dataset].append(text)
        return Encoded([self._batch(some, self._end) for some in texts], None, block.bytes)

    def _batch(self, texts: list[str], end: bytes) -> Batch:
        documents = [self._sequences(text) for text in texts]
        encoded = iter(self._encoder.encode([text for document in documents for text in document]))
        parts: list[bytes] = []
        sizes: list[int] = []
        counts: list[int] = []
        for document in documents:
            sequences = [tokens for tokens in islice(encoded, len(document)) if tokens]
            if sequences:
                sequences[-1] += end
                parts.extend(sequences)
                sizes.extend(map(len, sequences))
                counts.append(len(sequences))
        return Batch(
            np.frombuffer(b"".join(parts), self._dtype),
            np.array(sizes, np.int64) // self._dtype.itemsize,
            np.array(counts, np.int64),
            len(texts) - len(counts),
        )

    def _sequences(self, text: str) -> list[str]:
        if self._job.level == DOCUMENT:
            return [text]
        return split_sentences(text, self._job.language)
