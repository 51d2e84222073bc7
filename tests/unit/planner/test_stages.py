"""What of a pipeline's plan follows from the numbers of its stages and micro-batches."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import pytest

from hydratron.config.cluster import ClusterConfig
from hydratron.config.parallel import ParallelConfig
from hydratron.planner.extrapolate import Step
from hydratron.planner.plan import _of_one, plan_job
from hydratron.planner.recorder import BACKWARD, FORWARD, STAGES, UPDATE, Collective
from hydratron.planner.stages import in_flight, kinds, peaks_of, sending_seconds, with_waiting
from hydratron.planner.time_model import StepTime
from tests.helpers.planned import small_job


def pipeline(pp: int, schedule: str = "gpipe", dp: int = 1) -> ParallelConfig:
    return ParallelConfig(1, dp, pp, pipeline_schedule=schedule)


def test_stages_in_between_are_planned_once() -> None:
    assert kinds(2) == [(0, 0), (1, 1)]
    assert kinds(8) == [(0, 0), (1, 6), (7, 7)]


def test_gpipe_holds_all_micro_batches_and_1f1b_those_under_way() -> None:
    assert [in_flight(pipeline(4), stage, 16) for stage in range(4)] == [16] * 4
    assert [in_flight(pipeline(4, "1f1b"), stage, 16) for stage in range(4)] == [4, 3, 2, 1]
    assert in_flight(pipeline(4, "1f1b"), 0, 4) == 4


@pytest.mark.parametrize(("schedule", "most"), [("gpipe", 3), ("1f1b", 6)])
def test_many_micro_batches_are_a_line_through_few(schedule: str, most: int) -> None:
    asked: list[int] = []

    def run(count: int) -> dict[tuple[str, str], Counter[str]]:
        asked.append(count)
        return {("forward", ""): Counter(weights=100, activations=7 * count)}

    found = peaks_of(pipeline(4, schedule), 512, run)
    assert found == {("forward", ""): Counter(weights=100, activations=7 * 512)}
    assert max(asked) == most


def test_waiting_is_the_share_of_the_published_formula() -> None:
    busy = StepTime(compute=8.0, memory=1.0, tensor=0.0, data=1.0, kernels=0.0)
    time = with_waiting(busy, 2.0, pipeline(4), 8)
    assert time.idle == pytest.approx(8.0 * 3 / 8)
    # Of the time of the micro-batches (the update comes after it), (p - 1) / (m + p - 1).
    assert time.idle / (time.total - 2.0) == pytest.approx(3 / 11)


def sent(operation: str, phase: str = STAGES, nbytes: int = 10**9) -> Collective:
    return Collective(phase, "", operation, "pipeline", 2, nbytes)


@pytest.mark.parametrize(
    ("dp", "seconds"),
    # Of two replicas all is in one host of four; of four each stage fills one, and shares its net.
    [(2, (3 + 1) / 200 / 0.5), (4, (3 + 1) / (100 / 4) / 0.25)],
)
def test_sends_count_once_and_the_sum_of_both_ends_too(dp: int, seconds: float) -> None:
    cluster = ClusterConfig(
        gpus_per_node=4, link_gbps=200.0, node_gbps=100.0, link_efficiency=0.5, node_efficiency=0.25
    )
    calls = (sent("recv"), sent("send"), sent("allreduce", UPDATE))
    step = Step(calls, (), {}, 0, 0)
    assert sending_seconds(step, 3, pipeline(2, dp=dp), cluster) == pytest.approx(seconds)


def test_one_of_several_micro_batches() -> None:
    forward = Collective(FORWARD, "a", "allreduce", "tensor", 2, 8)
    backward = Collective(BACKWARD, "a", "allreduce", "tensor", 2, 8)
    there, back = [sent("recv"), forward, sent("send")], [sent("recv"), backward, sent("send")]
    one = [*there, *back]
    assert _of_one(one * 3, 3) == one
    assert _of_one([*there * 3, *back * 3], 3) == one


def test_stages_add_up_to_the_model() -> None:
    whole = plan_job(small_job(model__num_layers=4))
    changes: dict[str, Any] = {"parallel__pipeline_model_parallel_size": 4}
    plan = plan_job(small_job(model__num_layers=4, **changes))
    assert plan.step.model_parameters == whole.step.model_parameters
    assert [stage.label for stage in plan.stages] == ["0", "1-2", "3"]
    held = sum((1 + s.last - s.first) * s.parameters for s in plan.stages)
    assert held == whole.step.parameters + 64 * 32  # the words, at both ends
    assert plan.peak_bytes == max(stage.peak_bytes for stage in plan.stages)


EITHER = (False, True)


@pytest.mark.parametrize(
    ("architecture", "tp", "dp", "pp", "sequence", "zero"),
    [
        ("gpt", 2, 2, 2, True, True),
        *(
            pytest.param(*ways, marks=pytest.mark.whole)
            for ways in product(("gpt", "bert"), (1, 2), (1, 2), (1, 2), EITHER, EITHER)
        ),
    ],
)
def test_every_way_together_is_planned(
    architecture: str, tp: int, dp: int, pp: int, sequence: bool, zero: bool
) -> None:
    """The parameters of all ranks are those of one process, whatever else is split."""
    alone = small_job(model__architecture=architecture)
    config = small_job(
        tp,
        dp,
        model__architecture=architecture,
        trainer__micro_batch_size=1,
        parallel__pipeline_model_parallel_size=pp,
        parallel__pipeline_schedule="1f1b",
        parallel__sequence_parallel=sequence,
        parallel__distributed_optimizer=zero,
    )
    found = plan_job(config)
    assert found.step.model_parameters == plan_job(alone).step.model_parameters
    assert len(found.stages) == (pp if pp > 1 else 0)
