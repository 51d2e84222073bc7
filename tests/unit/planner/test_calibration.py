"""Constants that were planted in step times are found again, within their bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from hydratron.config.cluster import ClusterConfig
from hydratron.config.parallel import ParallelConfig
from hydratron.errors import HydratronError
from hydratron.planner.calibration import CONSTANTS, Sample, fit, leave_one_out, predicted, rounded
from hydratron.planner.time_model import Terms

MACHINE = ClusterConfig(gpus_per_node=16)
TRUE = replace(
    MACHINE,
    compute_efficiency=0.8,
    memory_efficiency=0.5,
    link_efficiency=0.9,
    node_efficiency=0.4,
    kernel_microseconds=20.0,
)
# Degrees, and seconds of compute, memory, tensor and data all-reduces, and kernels.
STEPS = [
    (1, 1, (0.6, 0.7, 0.0, 0.0, 5000)),
    (2, 1, (0.3, 0.4, 0.1, 0.0, 6000)),
    (8, 1, (0.1, 0.2, 0.3, 0.0, 7000)),
    (4, 2, (0.5, 0.1, 0.1, 0.1, 4000)),
    (1, 64, (0.6, 0.7, 0.0, 0.2, 5500)),
    (8, 64, (0.2, 0.5, 0.3, 0.3, 9000)),
    (32, 1, (0.1, 0.3, 0.2, 0.0, 3000)),
]


def sample(tp: int, dp: int, terms: tuple[float, ...], seconds: float = math.nan) -> Sample:
    parallel = ParallelConfig(tensor_model_parallel_size=tp, data_parallel_size=dp)
    return Sample(Terms(*terms), parallel, seconds)


def timed(cluster: ClusterConfig) -> list[Sample]:
    steps = [sample(*step) for step in STEPS]
    return [replace(step, seconds=predicted(step, cluster)) for step in steps]


def constants(cluster: ClusterConfig) -> list[float]:
    return [getattr(cluster, name) for name in CONSTANTS]


def test_constants_that_were_planted_are_found() -> None:
    found = fit(timed(TRUE), MACHINE)
    assert constants(found) == pytest.approx(constants(TRUE))
    assert (found.name, found.gpus_per_node) == (MACHINE.name, 16)


def test_each_all_reduce_is_priced_by_the_network_that_it_crosses() -> None:
    # By hand: dp 2 of tp 4 stays in its host of 16, dp 64 and tp 32 do not.
    inside, outside, wide = (timed(TRUE)[place] for place in (3, 4, 6))
    assert inside.seconds == pytest.approx(0.5 / 0.8 + 0.1 / 0.5 + 0.2 / 0.9 + 4000 * 20e-6)
    assert outside.seconds == pytest.approx(0.6 / 0.8 + 0.7 / 0.5 + 0.2 / 0.4 + 5500 * 20e-6)
    assert wide.seconds == pytest.approx(0.1 / 0.8 + 0.3 / 0.5 + 0.2 / 0.4 + 3000 * 20e-6)


def test_no_share_is_above_1_and_no_kernel_costs_less_than_nothing() -> None:
    steps = [replace(step, seconds=0.5 * step.seconds) for step in timed(MACHINE)]
    assert constants(fit(steps, MACHINE)) == [1, 1, 1, 1, 0]


def test_errors_are_relative() -> None:
    # Two kinds of step say 2 and 3 times full speed; the long one must not win by its length.
    terms = [(1.0, 0, 0, 0, 0)] * 3 + [(100.0, 0, 0, 0, 0)] * 3
    seconds = [2.0] * 3 + [300.0] * 3
    steps = [sample(1, 1, t, s) for t, s in zip(terms, seconds, strict=True)]
    # Least of (x / 2 - 1)^2 + (x / 3 - 1)^2.
    assert 1 / fit(steps, MACHINE).compute_efficiency == pytest.approx(30 / 13)


def test_an_all_reduce_behind_the_backward_takes_no_time() -> None:
    steps = [replace(step, overlapped=step.terms.data > 0) for step in timed(TRUE)]
    hidden = [replace(step, seconds=predicted(step, TRUE)) for step in steps]
    assert hidden[4].seconds == pytest.approx(timed(TRUE)[4].seconds - 0.2 / 0.4)
    assert constants(fit(hidden, MACHINE)) == pytest.approx(constants(TRUE))


def test_a_sample_is_predicted_by_the_others() -> None:
    steps = timed(TRUE)
    steps[2] = replace(steps[2], seconds=2 * steps[2].seconds)
    found = leave_one_out(steps, MACHINE)
    assert found[2] == pytest.approx(steps[2].seconds / 2)
    assert found[0] == pytest.approx(predicted(steps[0], fit(steps[1:], MACHINE)))
    assert found[0] != pytest.approx(steps[0].seconds)


def test_nothing_is_predicted_that_only_the_sample_itself_tells() -> None:
    steps = [step for step in timed(TRUE) if step.parallel.world_size <= 16] * 2
    crossing = timed(TRUE)[4]
    *others, last = leave_one_out([*steps, crossing], MACHINE)
    assert math.isnan(last)
    assert others == pytest.approx([step.seconds for step in steps])
    # Without any such sample the share keeps full speed.
    assert fit(steps, MACHINE).node_efficiency == 1


def test_fewer_samples_than_constants() -> None:
    with pytest.raises(HydratronError, match="a fit of 5 constants to 4 step times"):
        fit(timed(TRUE)[:4], MACHINE)


def test_three_digits_go_into_the_file() -> None:
    exact = replace(TRUE, compute_efficiency=0.84088, kernel_microseconds=47.4385)
    assert rounded(exact) == {
        "compute_efficiency": 0.841,
        "memory_efficiency": 0.5,
        "link_efficiency": 0.9,
        "node_efficiency": 0.4,
        "kernel_microseconds": 47.4,
    }
