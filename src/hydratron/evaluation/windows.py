"""What a model is asked: windows over tokens, of each of which the last targets are scored.

A window reads `tokens[start : start + length]`; its targets are the tokens one place on, and the
last `scored` of them count.  Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """tokens [n] int32 or int64; starts, lengths, scored [w] int64."""

    tokens: npt.NDArray[np.integer]
    starts: Array
    lengths: Array
    scored: Array

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def targets(self) -> int:
        """How many tokens are scored."""
        return int(self.scored.sum())


class Batch(NamedTuple):
    """A few windows, filled up at their ends with token 0, which no scored position sees.

    numbers [b]: which windows; tokens [b, s]; rows, columns, targets [n]: what is scored, window
    by window.
    """

    numbers: Array
    tokens: Array
    rows: Array
    columns: Array
    targets: Array


def overlapping(tokens: int, context: int, stride: int) -> tuple[Array, Array, Array]:
    """Starts, lengths and scored targets of a text of `tokens` tokens, of which the first is given.

    The first window scores all that it has, each later one begins `stride` further on and scores
    the targets that none before it did: every target once (Megatron-LM's overlapping evaluation).
    """
    targets = tokens - 1
    count = 1 + max(0, -(-(targets - context) // stride)) if targets > 0 else 0
    starts = stride * np.arange(count, dtype=np.int64)
    ends = np.minimum(starts + context, targets)
    return starts, ends - starts, np.diff(ends, prepend=0)


def over_texts(texts: Sequence[npt.NDArray[np.integer]], context: int, stride: int) -> Windows:
    """Windows that never reach over the end of a text; each text begins with a given token."""
    parts, offset = [], 0
    for text in texts:
        starts, lengths, scored = overlapping(len(text), context, stride)
        parts.append((starts + offset, lengths, scored))
        offset += len(text)
    empty = np.zeros(0, dtype=np.int64)
    columns = [np.concatenate([empty, *column]) for column in zip(*parts, strict=True)]
    joined = np.concatenate([np.zeros(0, dtype=np.int32), *texts])
    return Windows(joined, *(columns or [empty] * 3))


def batches(windows: Windows, size: int, part: int = 0, parts: int = 1) -> Iterator[Batch]:
    """All windows, or those of a part, up to `size` at a time, those of like length together."""
    order = np.argsort(-windows.lengths, kind="stable")[part::parts]
    for first in range(0, len(order), size):
        yield _batch(windows, order[first : first + size])


def _batch(windows: Windows, numbers: Array) -> Batch:
    lengths, scored = windows.lengths[numbers], windows.scored[numbers]
    places = np.arange(lengths.max())
    inside = places < lengths[:, None]
    at = windows.starts[numbers][:, None] + places
    tokens = np.where(inside, windows.tokens[np.where(inside, at, 0)], 0).astype(np.int64)
    rows, columns = np.nonzero(inside & (places >= (lengths - scored)[:, None]))
    targets = windows.tokens[at[rows, columns] + 1].astype(np.int64)
    return Batch(numbers, tokens, rows, columns, targets)
