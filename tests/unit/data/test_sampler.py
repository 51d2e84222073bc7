"""The training order: the same for every parallel degree, and a suffix of itself after a resume."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.data.sampler import ConsumedSampler, batch_indices

SIZES = st.fixed_dictionaries(
    {
        "accumulation": st.integers(1, 4),
        "micro_batch_size": st.integers(1, 4),
        "dp_size": st.integers(1, 4),
    }
)


def samplers(
    sizes: dict[str, int], start_step: int = 0, max_steps: int = 5
) -> list[ConsumedSampler]:
    """One sampler per replica."""
    micro, dp = sizes["micro_batch_size"], sizes["dp_size"]
    total = sizes["accumulation"] * micro * dp
    return [ConsumedSampler(start_step, max_steps, total, micro, r, dp) for r in range(dp)]


def test_each_replica_takes_its_slice_of_each_chunk() -> None:
    assert batch_indices(100, 8, 2, 0, 2) == [[100, 101], [104, 105]]
    assert batch_indices(100, 8, 2, 1, 2) == [[102, 103], [106, 107]]


@settings(deadline=None)
@given(SIZES)
def test_micro_batches_have_their_size_and_are_counted(sizes: dict[str, int]) -> None:
    for sampler in samplers(sizes):
        found = list(sampler)
        assert len(found) == len(sampler) == 5
        assert {len(batches) for batches in found} == {sizes["accumulation"]}
        assert {len(b) for batches in found for b in batches} == {sizes["micro_batch_size"]}


@settings(deadline=None)
@given(SIZES)
def test_replicas_partition_each_global_batch_in_order(sizes: dict[str, int]) -> None:
    """So tp, dp and micro-batch size change nothing: a step reads one fixed range of samples."""
    order = [
        index
        for replicas in zip(*samplers(sizes), strict=True)
        for chunk in zip(*replicas, strict=True)
        for batch in chunk
        for index in batch
    ]
    assert order == list(range(len(order)))


@settings(deadline=None)
@given(SIZES, st.integers(0, 5))
def test_a_resumed_order_is_the_rest_of_the_whole_one(sizes: dict[str, int], start: int) -> None:
    whole, rest = samplers(sizes), samplers(sizes, start_step=start)
    for full, resumed in zip(whole, rest, strict=True):
        assert list(resumed) == list(full)[start:]
        assert len(resumed) == len(list(resumed))


def test_it_can_be_iterated_again() -> None:
    sampler = ConsumedSampler(1, 3, 4, 2, 0, 1)
    assert list(sampler) == list(sampler) == [[[4, 5], [6, 7]], [[8, 9], [10, 11]]]


@pytest.mark.parametrize(
    "arguments",
    [
        {"global_batch_size": 6, "micro_batch_size": 4, "dp_rank": 0, "dp_size": 1},
        {"global_batch_size": 4, "micro_batch_size": 4, "dp_rank": 0, "dp_size": 2},
        {"global_batch_size": 0, "micro_batch_size": 1, "dp_rank": 0, "dp_size": 1},
        {"global_batch_size": 4, "micro_batch_size": 1, "dp_rank": 2, "dp_size": 2},
        {"global_batch_size": 4, "micro_batch_size": 1, "dp_rank": -1, "dp_size": 2},
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not a multiple|data-parallel rank"):
        batch_indices(0, **arguments)
    with pytest.raises(ValueError, match=r"not a multiple|data-parallel rank"):
        ConsumedSampler(0, 1, **arguments)
