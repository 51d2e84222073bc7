"""Blending: the golden orders, Megatron's own function, and the sets behind a blend."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.data.samples import blend
from hydratron.data.samples.blend import (
    BlendedSamples,
    blend_order,
    normalized,
    samples_per_dataset,
)
from tests.helpers.megatron import megatron

# Equal ones tie at every turn; the smallest are taken once in a thousand positions and less.
WEIGHTS = {
    "one": [3.0],
    "thirds": [1.0, 1.0, 1.0],
    "seven": [1.0] * 7,
    "tenths": [0.1, 0.2, 0.3, 0.4],
    "percents": [5.0, 10.0, 15.0, 20.0, 25.0, 25.0],
    "powers": [1.0, 0.1, 0.01, 0.001],
    "tiny": [0.6, 0.39999, 0.00001, 0.000003],
    "steep": [1.0 / k**3 for k in range(1, 20)],
}


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ([0.7, 0.3], [0, 1, 0, 0, 1, 0, 0, 1, 0, 0]),
        ([1, 1, 2], [2, 0, 1, 2, 0, 2, 1, 2]),
    ],
)
def test_golden_orders(weights: list[float], order: list[int]) -> None:
    datasets, samples = blend_order(weights, len(order))
    assert datasets.tolist() == order
    assert samples.tolist() == [order[:i].count(k) for i, k in enumerate(order)]
    assert (datasets.dtype, samples.dtype) == (np.int16, np.int64)


def _greedy(weights: list[float], n: int) -> list[int]:
    """The rule as it is written down."""
    shares = normalized(weights).tolist()
    taken = [0] * len(shares)
    order = []
    for i in range(n):
        behind = [w * max(i, 1) - t for w, t in zip(shares, taken, strict=True)]
        order.append(behind.index(max(behind)))
        taken[order[-1]] += 1
    return order


@given(
    weights=st.lists(st.integers(1, 12) | st.floats(1e-3, 1e3), min_size=1, max_size=6),
    n=st.integers(0, 300),
    block=st.sampled_from([(1, 0), (2, 1), (7, 3), (64, 16), (1024, 512)]),
)
def test_the_order_is_that_of_the_rule(
    weights: list[float], n: int, block: tuple[int, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blend, "BLOCK", block[0])
        patch.setattr(blend, "WARM_UP", block[1])
        datasets, samples = blend_order(weights, n)
    assert datasets.tolist() == _greedy(weights, n)
    seen = [0] * len(weights)
    for dataset, sample in zip(datasets.tolist(), samples.tolist(), strict=True):
        assert sample == seen[dataset]
        seen[dataset] += 1
    assert all(
        count <= asked for count, asked in zip(seen, samples_per_dataset(weights, n), strict=True)
    )


@pytest.fixture(scope="module")
def helpers() -> Any:
    return megatron("helpers_cpp")


def _is_megatrons(helpers: Any, weights: list[float], n: int) -> bool:
    theirs = np.zeros(n, np.int16), np.zeros(n, np.int64)
    helpers.build_blending_indices(*theirs, normalized(weights), len(weights), n, False)
    datasets, samples = blend_order(weights, n)
    return np.array_equal(datasets, theirs[0]) and np.array_equal(samples, theirs[1])


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_order_is_megatrons(helpers: Any, name: str) -> None:
    assert _is_megatrons(helpers, WEIGHTS[name], 100_000)


def test_the_order_of_any_weights_is_megatrons(helpers: Any) -> None:
    generator = np.random.default_rng(1)
    for concentration in (0.1, 1.0, 10.0):
        for sets in (2, 3, 5, 8):
            weights = generator.dirichlet([concentration] * sets) + 1e-12
            assert _is_megatrons(helpers, weights.tolist(), 50_000)


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_prefix_holds_each_set_in_proportion(name: str) -> None:
    n = 20_000
    datasets, _ = blend_order(WEIGHTS[name], n)
    shares = normalized(WEIGHTS[name])
    taken = np.cumsum(datasets[:, None] == np.arange(len(shares)), axis=0)
    ideal = np.arange(1, n + 1)[:, None] * shares
    # No set is a whole sample ahead; those behind share what the others are ahead.
    assert (taken - ideal).max() < 1
    assert (ideal - taken).max() < len(shares)


@given(weights=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8), n=st.integers(0, 10**7))
def test_each_set_is_asked_for_its_share_and_a_little_more(weights: list[float], n: int) -> None:
    asked = samples_per_dataset(weights, n)
    for share, count in zip(normalized(weights).tolist(), asked, strict=True):
        assert count == math.ceil(n * share * 1.005)
        assert count >= Fraction(share) * n


def test_megatrons_surplus_is_rounded_up_once() -> None:
    assert samples_per_dataset([7, 3], 1000) == [704, 302]
    assert samples_per_dataset([1, 1], 1) == [1, 1]
    assert samples_per_dataset([2, 5], 0) == [0, 0]


@pytest.mark.parametrize("weights", [[], [0.5, 0.0], [1, -1], [1, math.inf], [math.nan]])
def test_weights_that_make_no_blend_are_refused(weights: list[float]) -> None:
    for use in (blend_order, samples_per_dataset):
        with pytest.raises(ValueError, match=r"at least one|a positive number"):
            use(weights, 10)


def test_a_blend_reads_its_sets() -> None:
    sets = [[f"a{i}" for i in range(7)], [f"b{i}" for i in range(3)]]
    blended = BlendedSamples(sets, *blend_order([0.7, 0.3], 10))
    read = [blended[i] for i in range(len(blended))]
    assert read == ["a0", "b0", "a1", "a2", "b1", "a3", "a4", "b2", "a5", "a6"]
    for outside in (-1, 10):
        with pytest.raises(IndexError):
            blended[outside]


def test_a_set_with_too_few_samples_is_refused() -> None:
    order = blend_order([0.7, 0.3], 10)
    with pytest.raises(ValueError, match="set 1 has 2 samples, but the order reads 3"):
        BlendedSamples([range(7), range(2)], *order)
    with pytest.raises(ValueError, match="1 sets, but the order reads 2"):
        BlendedSamples([range(7)], *order)
    with pytest.raises(ValueError, match="10 positions with a set, 9 with a sample"):
        BlendedSamples([range(7), range(3)], order[0], order[1][:9])
