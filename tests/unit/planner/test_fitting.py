"""What fits a GPU, and the smallest change that makes a job fit, with plans made up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from hydratron.config.schema import Config
from hydratron.config.validate import problems
from hydratron.planner.extrapolate import Step
from hydratron.planner.fitting import GIB, Change, fits, smallest_change
from hydratron.planner.plan import JobPlan
from hydratron.planner.time_model import StepTime, Terms
from tests.helpers.planned import small_job

STATES = 4.0


def made_up(config: Config, activations: float) -> JobPlan:
    """A plan with four GiB of weights over its ranks, and some GiB of activations."""
    weights = STATES / config.parallel.tensor_model_parallel_size
    held = Counter(weights=round(weights * GIB), activations=round(activations * GIB))
    step = Step((), (), {("forward", ""): held}, 0, 0)
    return JobPlan(config, 60, step, Terms(0, 0, 0, 0, 0), StepTime(0, 0, 0, 0, 0))


class Planner:
    """Plans by a rule, and remembers what it was asked."""

    def __init__(self, rule: Callable[[Config], float]) -> None:
        self.rule = rule
        self.asked: list[tuple[int, str, int]] = []

    def __call__(self, config: Config) -> JobPlan:
        assert not problems(config)
        tp = config.parallel.tensor_model_parallel_size
        self.asked.append((tp, config.model.recompute, config.micro_batch_size))
        return made_up(config, self.rule(config))


def job(memory: float, **changes: Any) -> Config:
    """A job of eight sequences on GPUs with so many GiB besides the reserve."""
    options: dict[str, Any] = {
        "model__num_attention_heads": 8, "model__hidden_size": 960,
        "cluster__memory_gib": memory + 1, "plan__reserve_gib": 1.0,
    }  # fmt: skip
    return small_job(**options | changes)


def by_batch(config: Config) -> float:
    """A GiB for each sequence, a quarter of it with recomputation, split over the ranks."""
    held = config.micro_batch_size * (0.25 if config.model.recompute == "layer" else 1.0)
    return held / config.parallel.tensor_model_parallel_size


def change(config: Config, planner: Planner) -> Change | None:
    return smallest_change(made_up(config, by_batch(config)), planner)


def test_the_reserve_stays_free() -> None:
    assert fits(5 * GIB, 8.0, 3.0)
    assert not fits(5 * GIB + 1, 8.0, 3.0)


def test_recomputation_comes_first() -> None:
    planner = Planner(by_batch)
    assert change(job(6.0), planner) == Change(("model.recompute=layer",), 6 * GIB)
    assert planner.asked == [(1, "layer", 8)]


def test_then_smaller_micro_batches() -> None:
    planner = Planner(by_batch)
    expected = Change(("model.recompute=layer", "trainer.micro_batch_size=2"), round(4.5 * GIB))
    assert change(job(4.5), planner) == expected
    assert planner.asked == [(1, "layer", 8), (1, "layer", 4), (1, "layer", 2)]


def test_a_job_that_recomputes_already_is_not_told_to() -> None:
    planner = Planner(by_batch)
    found = change(job(5.0, model__recompute="layer"), planner)
    assert found == Change(("trainer.micro_batch_size=4",), 5 * GIB)
    assert planner.asked == [(1, "layer", 4)]


def test_then_more_ranks() -> None:
    planner = Planner(by_batch)
    found = change(job(3.5), planner)
    # Half of the weights on each rank, and of four GiB of activations only a quarter and a half.
    assert found == Change(
        ("model.recompute=layer", "parallel.tensor_model_parallel_size=2"), 3 * GIB
    )
    # The weights alone are too much for one rank: that is known without planning.
    assert planner.asked == [(2, "none", 8), (2, "layer", 8)]


@pytest.mark.parametrize(
    ("heads", "widths"), [(6, {1, 2}), (8, {1, 2, 4, 8}), (5, {1}), (32, {1, 2, 4, 8, 16})]
)
def test_nothing_impossible_is_proposed(heads: int, widths: set[int]) -> None:
    planner = Planner(lambda config: 100.0)
    assert change(job(50.0, model__num_attention_heads=heads), planner) is None
    assert {tp for tp, _, _ in planner.asked} == widths


def test_a_micro_batch_that_is_odd_is_not_halved() -> None:
    planner = Planner(lambda config: 100.0)
    batch = {"trainer__global_batch_size": 12, "trainer__micro_batch_size": 6}
    assert change(job(50.0, model__num_attention_heads=1, **batch), planner) is None
    assert planner.asked == [(1, "layer", 6), (1, "layer", 3)]


def test_what_is_wider_than_a_host_stays() -> None:
    planner = Planner(lambda config: 100.0)
    config = small_job(
        32, model__num_attention_heads=64, model__hidden_size=64, model__recompute="layer",
        trainer__micro_batch_size=1, cluster__memory_gib=10.0,
    )  # fmt: skip
    assert change(config, planner) is None
    assert planner.asked == []
