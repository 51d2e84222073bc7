"""The sample index: golden orders, and agreement with the rule written as loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter
from hydratron.data.samples.gpt import (
    GPTSamples,
    SampleIndex,
    build_sample_index,
    samples_per_epoch,
)

GOLDEN_SIZES = np.array([5, 3, 8, 4, 6], dtype=np.int32)


def lists(index: SampleIndex) -> tuple[list[int], list[list[int]], list[int]]:
    return index.documents.tolist(), index.positions.tolist(), index.shuffle.tolist()


def test_golden_order_of_one_epoch() -> None:
    index = build_sample_index(GOLDEN_SIZES, seq_length=4, samples=6, seed=1234)
    assert lists(index) == (
        [4, 0, 1, 2, 3],
        [[0, 0], [0, 4], [1, 2], [2, 1], [3, 2], [3, 6], [4, 2]],
        [5, 2, 3, 1, 0, 4],
    )
    assert index.documents.dtype == index.positions.dtype == np.int32
    assert index.shuffle.dtype == np.uint32


def test_golden_order_of_two_epochs_with_the_last_apart() -> None:
    index = build_sample_index(GOLDEN_SIZES, seq_length=4, samples=9, seed=1234)
    documents, _, shuffle = lists(index)
    assert documents == [4, 0, 1, 2, 3, 3, 2, 1, 0, 4]
    assert shuffle == [0, 4, 3, 2, 5, 1, 7, 6, 9, 8, 11, 10]


def naive_index(
    sizes: list[int], s: int, samples: int, seed: int
) -> tuple[list[int], list[list[int]], list[int]]:
    """The rule, one token at a time."""
    total, epochs = sum(sizes), 1
    while (epochs * total - 1) // s < samples:
        epochs += 1
    full = ((epochs - 1) * total - 1) // s if epochs > 1 else 0
    apart = epochs > 1 and samples - full < int(0.8 * ((total - 1) // s))
    generator = np.random.RandomState(seed)

    def shuffled(values: list[int]) -> list[int]:
        array = np.array(values)
        generator.shuffle(array)
        return [int(value) for value in array]

    ids = list(range(len(sizes)))
    documents = shuffled(ids * (epochs - 1)) + shuffled(ids) if apart else shuffled(ids * epochs)
    stream = [(p, offset) for p, i in enumerate(documents) for offset in range(sizes[i])]
    count = (epochs * total - 1) // s
    positions = [(0, 0)] + [stream[k * s] for k in range(1, count + 1)]
    order = list(range(count))
    shuffle = shuffled(order[:full]) + shuffled(order[full:]) if apart else shuffled(order)
    return documents, [list(position) for position in positions], shuffle


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=12).filter(any),
    s=st.integers(1, 9),
    samples=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_index_agrees_with_the_rule_written_as_loops(
    sizes: list[int], s: int, samples: int, seed: int
) -> None:
    index = build_sample_index(np.array(sizes, dtype=np.int32), s, samples, seed)
    assert lists(index) == naive_index(sizes, s, samples, seed)
    assert len(index.shuffle) >= samples
    epochs = len(index.documents) // len(sizes)
    assert len(index.shuffle) == samples_per_epoch(sum(sizes), s, epochs)


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=8).filter(any),
    s=st.integers(1, 9),
    samples=st.integers(1, 30),
)
def test_every_sample_is_a_window_of_the_shuffled_stream(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], s: int, samples: int
) -> None:
    prefix = tmp_path_factory.mktemp("samples") / "x"
    with IndexedDatasetWriter(prefix, "u2") as writer:
        for i, size in enumerate(sizes):
            writer.add_document([[100 * i + k for k in range(size)]])
    dataset = IndexedDataset(prefix)
    index = build_sample_index(dataset.sizes, s, samples, seed=1)
    drawn = GPTSamples(dataset, 0, index, samples, 2000)

    stream = np.concatenate([dataset[i] for i in index.documents])
    assert len(drawn) == samples
    for i, k in enumerate(index.shuffle.tolist()[:samples]):
        assert drawn[i].dtype == np.int64
        assert drawn[i].tolist() == stream[k * s : (k + 1) * s + 1].tolist()
    with pytest.raises(IndexError):
        drawn[samples]


def test_the_seed_changes_the_order() -> None:
    orders = {
        tuple(build_sample_index(GOLDEN_SIZES, 4, 6, seed).shuffle.tolist()) for seed in range(8)
    }
    assert len(orders) > 4


def test_no_tokens_no_samples(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tokens"):
        build_sample_index(np.zeros(3, dtype=np.int32), 4, 1, 1)


def test_more_samples_than_the_index_has_is_an_error(tmp_path: Path) -> None:
    with IndexedDatasetWriter(tmp_path / "x", "u2") as writer:
        writer.add_document([list(range(9))])
    dataset = IndexedDataset(tmp_path / "x")
    index = build_sample_index(dataset.sizes, 4, 2, 1)
    with pytest.raises(ValueError, match="3 samples of an index of 2"):
        GPTSamples(dataset, 0, index, 3, 10)
