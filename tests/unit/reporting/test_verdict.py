from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.reporting.estimate import Estimate, estimate
from hydratron.reporting.verdict import (
    Claim,
    Status,
    below_bound,
    direction,
    over_seeds,
    paired,
    predicted,
    weakest,
)

CLAIM = Claim("order", "larger is lower", "in every seed", "nats")
# Rounded, because the squares of far smaller numbers are zero.
VALUES = st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 9)), min_size=2, max_size=8)


def test_differences_are_paired_by_seed() -> None:
    assert paired({3: 5.0, 1: 4.0, 9: 1.0}, {1: 3.5, 3: 5.25}) == {1: 0.5, 3: -0.25}


@pytest.mark.parametrize(
    ("values", "status", "note"),
    [
        ([0.9, 1.0, 1.1], Status.REPRODUCED, None),
        ([-0.9, -1.0, -1.1], Status.NOT_REPRODUCED, None),
        ([-1.0, 0.1, 1.0], Status.INCONCLUSIVE, "the interval holds 0"),
        ([0.9, 1.1], Status.INCONCLUSIVE, "2 seeds; a verdict needs 3"),
        ([1.0], Status.INCONCLUSIVE, "1 seed; a verdict needs 3"),
        ([1.0, 1.0, math.inf], Status.INCONCLUSIVE, "no interval: a value is not finite"),
    ],
)
def test_direction(values: list[float], status: Status, note: str | None) -> None:
    verdict = direction(CLAIM, estimate(values), ["a note"])
    assert verdict.status == status
    assert verdict.aspect == "direction"
    assert verdict.details == ("a note", *([note] if note else []))
    assert verdict.n == len(values)


@given(VALUES.filter(lambda values: len(values) > 2), st.floats(0.1, 10))
def test_direction_does_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    once = direction(CLAIM, estimate(values)).status
    assert direction(CLAIM, estimate([factor * v for v in values])).status == once
    opposite = direction(CLAIM, estimate([-v for v in values])).status
    swap = {Status.REPRODUCED: Status.NOT_REPRODUCED, Status.NOT_REPRODUCED: Status.REPRODUCED}
    assert opposite == swap.get(once, once)


def test_a_gap_is_judged_by_its_interval_and_its_seeds_are_counted() -> None:
    sure = over_seeds(CLAIM, {1: 0.1, 2: 0.2, 3: 0.15})
    assert (sure.status, sure.details) == (Status.REPRODUCED, ("in 3 of 3 seeds",))
    # Above 0 in every seed, and yet another seed may well be below.
    hair = over_seeds(CLAIM, {1: 0.001, 2: 0.2, 3: 0.1})
    assert hair.status == Status.INCONCLUSIVE
    assert hair.details == ("in 3 of 3 seeds", "the interval holds 0")
    # In one seed of five it does not hold, and yet the mean is surely above.
    most = over_seeds(CLAIM, {1: 0.5, 2: 0.6, 3: -0.01, 4: 0.5, 5: 0.6})
    assert (most.status, most.details[0]) == (Status.REPRODUCED, "in 4 of 5 seeds")
    assert over_seeds(CLAIM, {1: 0.1, 2: 0.2}).status == Status.INCONCLUSIVE
    assert over_seeds(CLAIM, {}).status == Status.INCONCLUSIVE


def test_several_parts_are_as_sure_as_the_least_sure() -> None:
    sure, low = {1: 1.0, 2: 1.1, 3: 0.9}, {1: 0.1, 2: 0.3, 3: -0.1}
    assert weakest(CLAIM, {"a": sure, "b": sure}).status == Status.REPRODUCED
    found = weakest(CLAIM, {"a": sure, "b": low})
    assert (found.status, found.effect) == (Status.INCONCLUSIVE, pytest.approx(0.1))
    assert [line.split(":")[0] for line in found.details] == ["a", "b"]
    assert "of b" in found.method
    for part in ({1: 1.0, 2: 1.1}, {1: 1.0, 2: -math.inf, 3: 1.0}):
        assert weakest(CLAIM, {"a": sure, "b": part}).status != Status.REPRODUCED
    assert weakest(CLAIM, {}).status == Status.INCONCLUSIVE


def test_a_diverged_run_counts_and_leaves_no_effect() -> None:
    verdict = over_seeds(CLAIM, {1: 0.1, 2: -math.inf, 3: 0.2})
    assert verdict.status == Status.NOT_REPRODUCED
    assert (verdict.effect, verdict.interval, verdict.n) == (None, None, 3)


@pytest.mark.parametrize(
    ("values", "status", "effect"),
    [
        ([1e-6, 1e-5], Status.REPRODUCED, 1e-5),
        ([1e-6, 1.1e-5], Status.NOT_REPRODUCED, 1.1e-5),
        ([1e-6, math.nan], Status.NOT_REPRODUCED, None),
        ([], Status.INCONCLUSIVE, None),
    ],
)
def test_a_bound_holds_for_every_value(
    values: list[float], status: Status, effect: float | None
) -> None:
    verdict = below_bound(CLAIM, values, 1e-5)
    assert (verdict.status, verdict.effect, verdict.n) == (status, effect, len(values))


@pytest.mark.parametrize(
    ("errors", "status", "effect"),
    [
        ([-0.05, 0.04], Status.PREDICTED, 0.05),
        ([-0.051, 0.04], Status.NOT_PREDICTED, 0.051),
        ([0.051], Status.NOT_PREDICTED, 0.051),
        ([0.01, math.nan], Status.NOT_PREDICTED, None),
        ([], Status.INCONCLUSIVE, None),
    ],
)
def test_a_prediction_is_never_called_a_reproduction(
    errors: list[float], status: Status, effect: float | None
) -> None:
    verdict = predicted(CLAIM, errors, 0.05, ["a row"])
    assert (verdict.status, verdict.effect, verdict.n) == (status, effect, len(errors))
    assert (verdict.aspect, verdict.details) == ("prediction", ("a row",))


def test_what_is_not_judged_keeps_the_numbers() -> None:
    verdict = direction(CLAIM, estimate([0.9, 1.0, 1.1]))
    stamped = verdict.unjudged("too small")
    assert stamped.status == Status.SMOKE
    assert (stamped.effect, stamped.details) == (verdict.effect, ("too small",))


def test_json_holds_everything_and_no_infinity() -> None:
    found = Estimate(1.0, math.inf, 3, "by hand")
    content = direction(CLAIM, found).as_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == {
        "name": "order",
        "claim": "larger is lower",
        "criterion": "in every seed",
        "unit": "nats",
        "aspect": "direction",
        "status": "INCONCLUSIVE",
        "effect": 1.0,
        "interval": [None, None],
        "n": 3,
        "method": "by hand",
        "details": ["the interval holds 0"],
        "ours": "",
    }
