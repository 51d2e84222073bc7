from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from hydratron.config.stability import StabilityConfig
from hydratron.training.loss_watch import SHORT, LossWatch

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
# gpt_micro as the demo trained it at a warm-up of 25 steps: step 35 leaps, with a norm of 79.
LOSSES = (
    "7.15 7.05 6.95 6.80 6.72 6.64 6.65 6.51 6.42 6.45 6.41 6.45 6.33 6.31 6.24 "
    "6.31 6.34 6.19 6.12 6.21 6.19 6.14 5.96 5.96 6.09 5.96 6.03 6.04 6.04 6.03 "
    "6.10 5.98 5.88 6.02 7.61 6.05 6.02 5.84 6.00 6.11 5.93 5.87 5.86 5.80 5.88 "
    "5.82 5.72 5.76 6.02 5.79 5.82 5.87 5.71 5.78 5.75 5.76 5.65 5.86 5.67 5.86 "
)
LEAP = [float(loss) for loss in LOSSES.split()]


def watch(losses: Iterable[float] = ()) -> LossWatch:
    made = LossWatch(window=5, spike_nats=0.5, diverged_nats=2.0)
    for step, loss in enumerate(losses, start=1):
        made.see(step, loss)
    return made


@pytest.mark.parametrize(
    ("after", "spikes"),
    [
        ([4.51], 1),
        ([4.49], 0),
        ([4.6, 4.7, 4.8], 1),  # one spike of three steps
        ([4.6, 4.0, 4.6], 2),
        ([3.0, 4.6], 1),
    ],
)
def test_spikes_are_counted_against_the_median_before(after: list[float], spikes: int) -> None:
    assert watch([4.0] * 5 + after).spikes == spikes


def default_spikes(losses: Iterable[float]) -> int:
    rule = StabilityConfig()
    made = LossWatch(rule.window, rule.spike_nats, rule.diverged_nats)
    for step, loss in enumerate(losses, start=1):
        made.see(step, loss)
    assert made.diverged is None
    return made.spikes


def test_a_leap_is_seen_while_the_loss_still_falls() -> None:
    assert default_spikes(LEAP) == 1
    assert default_spikes(LEAP[:34] + LEAP[35:]) == 0
    # On the steepest slope, where the median of all steps lies far above the loss.
    assert default_spikes([*LEAP[:14], LEAP[14] + 0.8, *LEAP[15:34]]) == 1


def test_the_committed_curves_have_no_spikes() -> None:
    curves = defaultdict(list)
    for file in EXPERIMENTS.glob("*/results/*/curves.csv"):
        run, step = -1, 0.0
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
            if "step" not in row:  # Times of turns.
                break
            # Jobs of two stages may have one name: a run begins where the steps do.
            at = float(row["step"] or 0)
            run, step = run + (at < step or run < 0), at
            for key in ("train/loss", "val/loss", "val/mlm_loss"):
                if row.get(key):
                    curves[file, row["run"], run, key].append(float(row[key]))
    assert sum(len(losses) > SHORT for losses in curves.values()) >= 13
    assert {name: default_spikes(losses) for name, losses in curves.items()} == dict.fromkeys(
        curves, 0
    )


def test_nothing_is_judged_before_the_window_is_full() -> None:
    early = watch([4.0] * 4 + [40.0])
    assert (early.spikes, early.diverged) == (0, None)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_diverges_at_once(bad: float) -> None:
    assert watch([4.0, bad]).diverged == f"the loss is {bad} in step 2"


def test_a_gradient_norm_that_is_not_finite_diverges_at_once() -> None:
    made = watch([4.0])
    made.see(2, 4.0, broken="the gradient norm is nan")
    made.see(3, 4.0)
    made.see_validation(3, math.nan)
    assert made.diverged == "the gradient norm is nan in step 2"


def test_of_the_validation_loss_it_is_judged_that_it_is_a_number() -> None:
    made = watch([4.0] * 5)
    made.see_validation(5, 400.0)
    assert made.diverged is None
    made.see_validation(10, math.nan)
    assert made.diverged == "the validation loss is nan after step 10"


def test_a_median_far_above_the_lowest_diverges() -> None:
    falling = [6.0, 5.0, 4.0, 4.0, 4.0, 4.0]
    # Three of the last five decide the median.
    assert watch([*falling, 6.1, 6.1]).diverged is None
    assert watch([*falling, 5.9, 5.9, 5.9, 5.9, 5.9]).diverged is None
    found = watch([*falling, 6.1, 6.1, 6.1, 1.0])
    assert found.diverged == (
        "the median loss of 5 steps up to step 9 is 6.100, the lowest was 4.000"
    )


def test_it_goes_on_where_it_was_saved() -> None:
    losses = [4.0, 4.1, 3.9, 4.0, 4.2, 4.9, 5.0, 4.0, 6.5, 6.5, 6.5]
    whole = watch(losses)
    assert whole.spikes == 2
    assert whole.diverged
    for cut in range(len(losses)):
        first, second = watch(losses[:cut]), watch()
        second.load_state(json.loads(json.dumps(first.state(), allow_nan=False)))
        for step, loss in enumerate(losses[cut:], start=cut + 1):
            second.see(step, loss)
        assert (second.spikes, second.diverged) == (whole.spikes, whole.diverged)
