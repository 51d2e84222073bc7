"""Megatron-LM's sentence mapping: which consecutive sentences make a BERT sample, and their order.

Epoch by epoch and document by document, sentences are taken until the target length is reached;
then all samples are shuffled.  Equal to `build_mapping` of Megatron-LM, bit for bit.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.samples.mt19937 import MT19937, MT19937_64

Mapping = npt.NDArray[np.uint32] | npt.NDArray[np.uint64]

LONGEST_SENTENCE = 512
"""Tokens; a document with a longer sentence is left out."""
SPECIAL_TOKENS = 3
"""[CLS] and two [SEP] of a pair."""
LEAST_SENTENCES = 2
DRAWN_AT_ONCE = 1 << 16
LARGEST_SMALL = np.iinfo(np.uint32).max


def build_mapping(
    sizes: npt.NDArray[np.integer[Any]],
    doc_idx: npt.NDArray[np.integer[Any]],
    *,
    seq_length: int,
    seed: int,
    max_samples: int | None = None,
    epochs: int | None = None,
    short_seq_prob: float = 0.1,
) -> Mapping:
    """The pairs of a run: first sentence, sentence after the last, target length; [n, 3].

    `sizes` are the tokens of every sentence of the file, [sentences].  `doc_idx` are the bounds of
    the documents that are read, [documents + 1]: a range of the file's own, so that the numbers
    stay the file's.  Whole epochs are added until there are `max_samples` samples or `epochs`
    epochs; at least one of both is needed.  Two tokens are the least target.  The type is uint32,
    or uint64 where a sentence's number may not fit.  Raises ValueError when no document can be
    used or `seq_length` is below 5.
    """
    longest = seq_length - SPECIAL_TOKENS
    if longest < 2:
        raise ValueError(f"seq_length={seq_length} has no room for two sentences")
    if max_samples is None and epochs is None:
        raise ValueError("max_samples or epochs is needed")
    documents = _usable(sizes, doc_idx)
    if not documents:
        raise ValueError("no document has two sentences and only sentences of up to 512 tokens")
    sentences = _cumulative(sizes, doc_idx)
    targets = _targets(MT19937(seed), longest, short_seq_prob)

    rows = array("q")
    epoch = 0
    while (epochs is None or epoch < epochs) and (
        max_samples is None or len(rows) < 3 * max_samples
    ):
        _add_epoch(rows, documents, sentences, int(doc_idx[0]), targets)
        epoch += 1
    mapping = np.frombuffer(rows, np.int64).reshape(-1, 3)
    huge = len(sizes) > LARGEST_SMALL
    typed: Mapping = mapping.astype(np.uint64) if huge else mapping.astype(np.uint32)
    return typed[_shuffled(len(mapping), seed + 1)]


def _usable(
    sizes: npt.NDArray[np.integer[Any]], doc_idx: npt.NDArray[np.integer[Any]]
) -> list[tuple[int, int]]:
    """(first sentence, sentence after the last) of each document that gives samples."""
    bounds = doc_idx.astype(np.int64)
    too_long = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes > LONGEST_SENTENCE, out=too_long[1:])
    starts, ends = bounds[:-1], bounds[1:]
    usable = (ends - starts >= LEAST_SENTENCES) & (too_long[ends] == too_long[starts])
    return list(zip(starts[usable].tolist(), ends[usable].tolist(), strict=True))


def _cumulative(
    sizes: npt.NDArray[np.integer[Any]], doc_idx: npt.NDArray[np.integer[Any]]
) -> memoryview:
    """Tokens before each sentence, counted from the first document, [sentences + 1].

    A memoryview, since Python reads its elements much faster than an array's.
    """
    first, last = int(doc_idx[0]), int(doc_idx[-1])
    totals = np.zeros(last - first + 1, np.int64)
    np.cumsum(sizes[first:last], out=totals[1:])
    return totals.data


def _targets(generator: MT19937, longest: int, short_seq_prob: float) -> Iterator[int]:
    """The target lengths in the order they are used: a short one in about 1 / short_seq_prob."""
    # Half goes up, as in C's lround.
    every = math.floor(1 / short_seq_prob + 0.5) if short_seq_prob > 0 else 0
    while True:
        draws = generator.take(DRAWN_AT_ONCE)
        targets = np.full(DRAWN_AT_ONCE, longest, np.int64)
        if every:
            short = draws % every == 0
            # The draw that chose a short sequence is its length as well.
            targets[short] = 2 + draws[short] % (longest - 1)
        yield from targets.tolist()


def _add_epoch(
    rows: array[int],
    documents: list[tuple[int, int]],
    totals: memoryview,
    offset: int,
    targets: Iterator[int],
) -> None:
    for first, last in documents:
        start, stop = first - offset, last - offset
        target = next(targets)
        while start < stop:
            end = bisect_left(totals, totals[start] + target, start + LEAST_SENTENCES, stop)
            # A single sentence is never left over.
            if end >= stop - 1:
                end = stop
            rows.extend((start + offset, end + offset, target))
            start = end
            target = next(targets)


def _shuffled(count: int, seed: int) -> npt.NDArray[np.int64]:
    """A Fisher-Yates permutation from the last place down, j = draw % (i + 1), [count]."""
    places = np.arange(count, 1, -1, dtype=np.uint64)
    others = (MT19937_64(seed).take(len(places)) % places).data
    order = array("q", range(count))
    for i, j in zip(range(count - 1, 0, -1), others, strict=True):
        order[i], order[j] = order[j], order[i]
    return np.frombuffer(order, np.int64)
