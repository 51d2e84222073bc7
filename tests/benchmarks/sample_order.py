"""How long the order of a million samples takes: GPT's over 10^8 tokens, and a blend's.

`python -m tests.benchmarks.sample_order`
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from hydratron.data.samples.blend import blend_order
from hydratron.data.samples.gpt import build_sample_index

SAMPLES, TOKENS, ROUNDS = 1_000_000, 100_000_000, 5


def seconds(work: Callable[[], object]) -> float:
    """The median of a few rounds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    mean = 1000
    sizes = np.random.default_rng(0).integers(1, 2 * mean, TOKENS // mean).astype(np.int32)
    print(f"{SAMPLES:,} samples, {sizes.sum():,} tokens, {len(sizes):,} documents")
    # One epoch of short samples, and about ten of long ones.
    for length in (int(sizes.sum()) // SAMPLES, 1024):
        taken = seconds(partial(build_sample_index, sizes, length, SAMPLES, seed=1))
        print(f"GPT, seq_length {length:4}: {taken:.2f} s")
    for weights in ([0.7, 0.3], [1.0] * 8):
        taken = seconds(partial(blend_order, weights, SAMPLES))
        print(f"blend of {len(weights)} sets:    {taken:.2f} s")


if __name__ == "__main__":
    main()
