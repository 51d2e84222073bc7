"""What a sweep of fine-tunings shows: by the task's metric, each model from its own weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydratron.reporting.differences import short_columns
from hydratron.reporting.factors import factors
from hydratron.reporting.findings import findings
from hydratron.reporting.orders import SizeOrder
from hydratron.reporting.ranking import best_first
from hydratron.reporting.records import Run
from tests.unit.reporting.synthetic import NANO, PICO
from tests.unit.reporting.test_comparisons import place, run, said


def judged(scores: Mapping[str, tuple[float, ...]], losses: float, **settings: Any) -> list[Run]:
    """Fine-tuned: accuracy falls where the loss does."""
    found = place(scores, **settings)
    for one in found:
        one.result.update({"val/accuracy": one.result["val/loss"], "val/loss": losses})
    return found


def test_what_a_task_is_judged_by_decides_and_not_its_loss() -> None:
    runs = [
        *judged({"pre": (0.5, 0.52), "post": (0.4, 0.41)}, 0.6, optim__lr=1e-3),
        *judged({"pre": (0.9, 0.91), "post": (0.7, 0.72)}, 1.6, optim__lr=3e-3),
    ]
    lines = said(runs)
    assert lines[0].startswith(
        "placement, each at its best lr: pre (lr 0.003) ends higher than post (lr 0.003): "
        "val/accuracy pre - post +0.1950 ["
    )
    assert lines[1].startswith("lr, placement pre: lr 0.003 ends higher than lr 0.001: val/acc")
    ordered = best_first(runs)
    assert [run.final("val/accuracy") for run in ordered[:3]] == [0.91, 0.9, 0.72]
    # A run without it leaves only the loss to compare by.
    assert all("val/loss" in line for line in said([*runs, *place({"pre": (0.1,)}, optim__lr=1)]))


def test_larger_models_are_to_score_higher() -> None:
    scores = ((PICO, (0.5, 0.6)), (NANO, (0.7, 0.8)))
    runs = [
        run(score, seed=seed, **{f"model__{k}": v for k, v in vars(model).items()})
        for model, values in scores
        for seed, score in enumerate(values, 1)
    ]
    (by_loss,) = [one for one in findings(runs) if isinstance(one, SizeOrder)]
    for one in runs:
        one.result["val/accuracy"] = one.result["val/loss"]
    (order,) = [one for one in findings(runs) if isinstance(one, SizeOrder)]
    assert (by_loss.holds, order.holds) == (False, True)
    assert "ordered, the larger the higher in each of 2 seeds" in order.sentence()


def started(**settings: str) -> list[Run]:
    """Two sizes in two seeds, the larger one lower, each of the settings by size or seed."""
    found = []
    for model, losses in ((PICO, (4.0, 4.1)), (NANO, (3.0, 3.1))):
        for seed, loss in enumerate(losses, 1):
            given = {"size": model.name, "seed": str(seed)}
            shape = {f"model__{key}": value for key, value in vars(model).items()}
            own = {key: given[by] for key, by in settings.items()}
            found.append(run(loss, seed=seed, **shape, **own))
    return found


def test_weights_that_each_size_has_of_its_own_do_not_hide_the_sizes() -> None:
    runs = started(init_from="size", tokenizer__path="size")
    (order,) = [one for one in findings(runs) if isinstance(one, SizeOrder)]
    assert order.sentence().startswith(
        "sizes, each from its own weights: gpt_pico 4.0500 > gpt_nano 3.0500: ordered"
    )
    assert factors(runs) == []
    assert list(short_columns(runs)) == ["model", "seed"]
    (order,) = [
        one for one in findings(started(tokenizer__path="size")) if isinstance(one, SizeOrder)
    ]
    assert order.sentence().startswith("sizes, each with its own tokenizer: ")
    (order,) = [one for one in findings(started(init_from="seed")) if isinstance(one, SizeOrder)]
    assert order.seeds == [1, 2]


def test_weights_that_differ_at_one_size_are_compared() -> None:
    runs = [run(loss, init_from=name) for name, loss in (("short", 4.1), ("long", 4.0))]
    assert said(runs) == [
        "init_from: long ends lower than short: val/loss short - long +0.1000, one seed, "
        "so no interval"
    ]
    # Nor does a rate that goes along make them a part of it.
    runs = [
        run(loss, init_from=name, optim__lr=lr)
        for name, lr, loss in (("short", 1e-3, 4.1), ("long", 2e-3, 4.0))
    ]
    assert "init_from" in {factor.key for factor in factors(runs)}
