"""Megatron-LM's blend of several sets: position i goes to the set that is furthest behind.

With normalised weights w and `taken` samples so far, that is the first set with the largest
w * max(i, 1) - taken, in float64.  The rule is sequential, but what a position takes depends only
on its number and on the integers `taken`.  So blocks of positions are worked out side by side, each
from a guess of `taken` that a warm-up before its first position puts right, and a block whose start
is not what the block before it left is done again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 1024
WARM_UP = 512
# As many samples more than its share are asked of each set.
SURPLUS = 1.005


def normalized(weights: Sequence[float]) -> npt.NDArray[np.float64]:
    """The weights divided by their sum, [sets].

    ValueError unless there is at least one and each is positive and finite.
    """
    given = np.asarray(weights, np.float64)
    if given.ndim != 1 or not given.size:
        raise ValueError("a blend needs at least one weight")
    wrong = [weight for weight in given.tolist() if not 0 < weight < math.inf]
    if wrong:
        raise ValueError(f"weight {wrong[0]}; expected a positive number")
    return given / given.sum()


def samples_per_dataset(weights: Sequence[float], n: int) -> list[int]:
    """Samples to ask of each set for a blend of n: ceil(n * w * 1.005), never too few."""
    return [math.ceil(n * weight * SURPLUS) for weight in normalized(weights).tolist()]


def blend_order(
    weights: Sequence[float], n: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    """For each of n positions its set and its sample in that set, both [n].

    Equal to Megatron-LM's `build_blending_indices` for the normalised weights, ties of float64
    included.  A million positions of 8 sets take about 0.1 s; a weight below about 1e-4 can bring
    that to the 2 s of the sequential loop.  ValueError as `normalized`.
    """
    shares = normalized(weights)
    datasets = _choices(shares, n)
    order = np.argsort(datasets, kind="stable")
    counts = np.bincount(datasets, minlength=len(shares))
    samples = np.empty(n, np.int64)
    samples[order] = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    return datasets, samples


def _choices(shares: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.int16]:
    """The set of each position, [n]."""
    blocks = -(-n // BLOCK)
    begins = np.arange(blocks, dtype=np.float64) * BLOCK
    taken = np.zeros((blocks, len(shares)))
    warm = begins[1:] - WARM_UP
    guess = np.rint(np.outer(warm, shares))
    # All sets together have taken one sample per position; the heaviest makes up for it soonest.
    guess[:, shares.argmax()] += warm - guess.sum(axis=1)
    _, taken[1:] = _side_by_side(shares, warm, guess, WARM_UP)
    choices, left = _side_by_side(shares, begins, taken, BLOCK)
    for block in range(1, blocks):
        if not np.array_equal(taken[block], left[block - 1]):
            left[block] = _one_by_one(shares, block * BLOCK, left[block - 1], choices[block])
    return choices.reshape(-1)[:n]


def _side_by_side(
    shares: npt.NDArray[np.float64],
    begins: npt.NDArray[np.float64],
    taken: npt.NDArray[np.float64],
    length: int,
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    """The choices of `length` positions from each begin on, [begins, length], and what was taken
    after them, [begins, sets], if `taken` [begins, sets] was taken before them."""
    choices = np.empty((length, len(begins)), np.int16)
    taken = taken.copy()
    rows = np.arange(len(begins))
    for step in range(length):
        behind = np.maximum(begins + step, 1)[:, None] * shares - taken
        # argmax is the first of equals.
        chosen = behind.argmax(axis=1)
        choices[step] = chosen
        taken[rows, chosen] += 1
    return np.ascontiguousarray(choices.T), taken


def _one_by_one(
    shares: npt.NDArray[np.float64],
    begin: int,
    taken: npt.NDArray[np.float64],
    choices: npt.NDArray[np.int16],
) -> list[float]:
    """Fill `choices` from position `begin` > 0 on; returns what is taken after them, [sets]."""
    weights, counts = shares.tolist(), taken.tolist()
    for step in range(len(choices)):
        position = float(begin + step)
        behind = [w * position - count for w, count in zip(weights, counts, strict=True)]
        chosen = behind.index(max(behind))
        choices[step] = chosen
        counts[chosen] += 1
    return counts


class BlendedSamples:
    """Sample i is sample `samples[i]` of set `datasets[i]`, as `blend_order` gives them."""

    def __init__(
        self,
        sets: Sequence[Any],
        datasets: npt.NDArray[np.integer[Any]],
        samples: npt.NDArray[np.integer[Any]],
    ) -> None:
        """ValueError when a set has fewer samples than the order reads of it."""
        if len(datasets) != len(samples):
            raise ValueError(f"{len(datasets)} positions with a set, {len(samples)} with a sample")
        needed = np.bincount(datasets, minlength=len(sets)).tolist()
        if len(needed) > len(sets):
            raise ValueError(f"{len(sets)} sets, but the order reads {len(needed)}")
        for i, (samples_of_set, count) in enumerate(zip(sets, needed, strict=True)):
            if len(samples_of_set) < count:
                raise ValueError(
                    f"set {i} has {len(samples_of_set)} samples, but the order reads {count}"
                )
        self.sets = sets
        self.datasets = datasets
        self.samples = samples

    def __len__(self) -> int:
        return len(self.datasets)

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)}")
        return self.sets[int(self.datasets[i])][int(self.samples[i])]
