"""Megatron-LM's sample index: which `seq_length + 1` tokens sample i of a GPT run reads.

The sequences of all epochs are shuffled and laid end to end; sample k covers positions
k * s to (k + 1) * s of that stream, so neighbours share one token; the samples are shuffled again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hydratron.data.indexed import IndexedDataset, bin_path, outside_vocabulary
from hydratron.errors import DataError, Problem

# A last epoch that is used for less than this share is shuffled apart from the full ones.
SEPARATE_BELOW = 0.8


class SampleIndex(NamedTuple):
    """The order of one run: a pure function of the lengths, `seq_length`, `samples` and the seed.

    It holds every sample of its epochs, at least as many as were asked for.
    """

    documents: npt.NDArray[np.int32]
    """Sequence numbers in reading order, [epochs * sequences]."""
    positions: npt.NDArray[np.int32]
    """Sample k runs from row k to row k + 1: (position in `documents`, offset), [n + 1, 2]."""
    shuffle: npt.NDArray[np.integer[Any]]
    """Sample i of the run is sample `shuffle[i]` of the stream, [n]."""


def samples_per_epoch(tokens: int, seq_length: int, epochs: int = 1) -> int:
    """Samples in `epochs` epochs of `tokens` tokens; the first token of the stream is no target."""
    return max(epochs * tokens - 1, 0) // seq_length


def build_sample_index(
    sizes: npt.NDArray[np.integer[Any]], seq_length: int, samples: int, seed: int
) -> SampleIndex:
    """The index of at least `samples` samples over sequences of `sizes` tokens, [sequences].

    Raises ValueError without any token.
    """
    tokens = int(sizes.sum(dtype=np.int64))
    if tokens == 0:
        raise ValueError("there are no tokens to sample from")
    # The smallest number of epochs with samples_per_epoch(tokens, seq_length, epochs) >= samples.
    epochs = -(-(samples * seq_length + 1) // tokens)
    full = samples_per_epoch(tokens, seq_length, epochs - 1)
    one = samples_per_epoch(tokens, seq_length)
    separate = epochs > 1 and samples - full < int(SEPARATE_BELOW * one)

    # One generator in this order: documents, then samples.
    generator = np.random.RandomState(seed)
    documents = np.tile(np.arange(len(sizes), dtype=np.int32), epochs)
    _shuffle_parts(documents, (epochs - 1) * len(sizes) if separate else 0, generator)

    count = samples_per_epoch(tokens, seq_length, epochs)
    positions = _positions(sizes[documents], seq_length, count)
    huge = count >= np.iinfo(np.uint32).max - 1
    shuffle: npt.NDArray[np.integer[Any]] = np.arange(count, dtype=np.int64 if huge else np.uint32)
    _shuffle_parts(shuffle, full if separate else 0, generator)
    return SampleIndex(documents, positions, shuffle)


def _shuffle_parts(
    values: npt.NDArray[Any], boundary: int, generator: np.random.RandomState
) -> None:
    """Shuffle in place before and after the boundary; at 0 everything at once."""
    if boundary:
        generator.shuffle(values[:boundary])
    generator.shuffle(values[boundary:])


def _positions(
    sizes: npt.NDArray[np.integer[Any]], seq_length: int, count: int
) -> npt.NDArray[np.int32]:
    """(position, offset) of the stream's tokens 0, s, 2s, ..., count * s, [count + 1, 2]."""
    ends = np.cumsum(sizes, dtype=np.int64)
    starts = np.arange(count + 1, dtype=np.int64) * seq_length
    # side="right" skips empty sequences, which hold no token.
    found = np.searchsorted(ends, starts, side="right")
    # The stream starts with its first sequence, even an empty one.
    found[0] = 0
    offsets = starts - (ends[found] - sizes[found])
    return np.stack([found, offsets], axis=1).astype(np.int32)


class GPTSamples:
    """`samples[i]`: the `seq_length + 1` tokens of sample i, int64; inputs and shifted targets.

    The index counts sequences from `first` on.  A token that the vocabulary does not have raises
    DataError: split over ranks, its embedding would be a silent zero.
    """

    def __init__(
        self, dataset: IndexedDataset, first: int, index: SampleIndex, length: int, vocab_size: int
    ) -> None:
        if length > len(index.shuffle):
            raise ValueError(f"{length} samples of an index of {len(index.shuffle)}")
        self.dataset = dataset
        self.first = first
        self.index = index
        self.length = length
        self.vocab_size = vocab_size

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[npt.NDArray[np.int64]]:
        return (self[i] for i in range(self.length))

    def __getitem__(self, i: int) -> npt.NDArray[np.int64]:
        if not 0 <= i < self.length:
            raise IndexError(f"sample {i} of {self.length}")
        sample = int(self.index.shuffle[i])
        (position, offset), (last, end) = self.index.positions[sample : sample + 2].tolist()
        parts = []
        for sequence in self.index.documents[position : last + 1].tolist():
            stop = end + 1 if position == last else None
            length = None if stop is None else stop - offset
            tokens = self.dataset.get(self.first + sequence, offset, length)
            check_tokens(self.dataset, self.first + sequence, offset, tokens, self.vocab_size)
            parts.append(tokens)
            position, offset = position + 1, 0
        return np.concatenate(parts).astype(np.int64)


def check_tokens(
    dataset: IndexedDataset,
    sequence: int,
    offset: int,
    tokens: npt.NDArray[Any],
    vocab_size: int,
) -> None:
    """Raise DataError if one of the tokens from `offset` on is no entry of the vocabulary."""
    outside = outside_vocabulary(tokens, vocab_size)
    if outside is None:
        return
    at = int(outside.argmax())
    document = dataset.document_of(sequence)
    raise DataError(
        [
            Problem(
                "token",
                int(tokens[at]),
                f"the vocabulary has {vocab_size} entries; {bin_path(dataset.prefix)}, document "
                f"{document}, sequence {sequence}, offset {offset + at}",
            )
        ]
    )
