from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from hydratron.config.keys import options
from hydratron.job import flatten
from hydratron.reporting.comparisons import Comparison, comparisons
from hydratron.reporting.factors import TUNED, factors
from hydratron.reporting.findings import findings
from hydratron.reporting.records import Run
from tests.unit.reporting.synthetic import NANO, PICO, config

PLACEMENT, LR = "model.layernorm.placement", "optim.lr"


def run(loss: float | None, status: str = "completed", /, **settings: Any) -> Run:
    """A job with these settings; `__` stands for the dot."""
    changed = {key.replace("__", "."): value for key, value in settings.items()}
    result = {"status": status} | ({} if loss is None else {"val/loss": loss})
    name = "-".join(map(str, changed.values()))
    return Run(Path(name), flatten(asdict(config())) | changed, result=result)


def place(losses: Mapping[str, tuple[float, ...]], **settings: Any) -> list[Run]:
    return [
        run(loss, **settings, model__layernorm__placement=name, seed=seed)
        for name, values in losses.items()
        for seed, loss in enumerate(values, 1)
    ]


def said(runs: list[Run]) -> list[str]:
    return [comparison.sentence() for comparison in comparisons(runs)]


def test_two_placements_are_compared_seed_by_seed() -> None:
    # Far apart between the seeds, and near each other within each: pairing tells them apart.
    runs = place({"pre": (4.0, 5.0, 6.0), "post": (4.1, 5.15, 6.11)})
    (found,) = comparisons(runs)
    (difference,) = found.differences
    assert difference.value == pytest.approx(0.12)
    # Student's t with two degrees of freedom, 4.3027, times the standard error.
    half = 4.302653 * math.sqrt((0.02**2 + 0.03**2 + 0.01**2) / 2) / math.sqrt(3)
    assert difference.half == pytest.approx(half, rel=1e-5)
    assert found.sentence() == (
        "placement: pre ends lower than post: val/loss post - pre +0.1200 [+0.0543, +0.1857], "
        "3 seeds"
    )
    assert found in findings(runs)


def test_one_seed_has_a_difference_and_says_that_it_has_no_interval() -> None:
    assert said(place({"pre": (4.0,), "post": (4.1,)})) == [
        "placement: pre ends lower than post: val/loss post - pre +0.1000, one seed, so no interval"
    ]


def test_what_the_seeds_do_not_tell_apart_is_called_so() -> None:
    (line,) = said(place({"pre": (4.0, 4.1), "post": (4.2, 4.0)}))
    assert line.startswith("placement: pre is not told apart from post: val/loss post - pre +0.05")
    assert line.endswith(", 2 seeds")
    (equal,) = said(place({"pre": (4.0,), "post": (4.0,)}))
    assert "not told apart" in equal


def test_three_levels_are_compared_with_the_lowest() -> None:
    runs = place({"post": (4.2, 4.3), "pre": (4.0, 4.1), "sandwich": (4.05, 4.05)})
    (line,) = said(runs)
    assert line.startswith(
        "placement: pre is not told apart from sandwich: "
        "val/loss sandwich - pre +0.0000 [-0.6353, +0.6353], post - pre +0.2000 ["
    )
    (clear,) = said(place({"post": (4.2,), "pre": (4.0,), "sandwich": (4.1,)}))
    assert clear.startswith("placement: pre ends lowest, at 4.0000: val/loss sandwich - pre +0.1")


def test_each_placement_stands_at_its_best_rate_and_then_at_equal_rates() -> None:
    runs = [
        *place({"pre": (4.3, 4.4), "post": (4.2, 4.25)}, optim__lr=1e-3),
        *place({"pre": (4.0, 4.1), "post": (5.0, 5.1)}, optim__lr=3e-3),
    ]
    lines = said(runs)
    assert lines[0].startswith(
        "placement, each at its best lr: pre (lr 0.003) is not told apart from post (lr 0.001): "
        "val/loss post - pre +0.1750 ["
    )
    assert [line.split(":")[0] for line in lines[1:]] == [
        "lr, placement pre",
        "lr, placement post",
        "placement, lr 0.001",
        "placement, lr 0.003",
    ]
    assert "lr 0.003 ends lower than lr 0.001" not in lines[2]


def test_a_rate_at_which_a_seed_broke_is_not_the_best_one() -> None:
    runs = [
        *place({"pre": (4.3, 4.4), "post": (4.2, 4.25)}, optim__lr=1e-3),
        run(3.0, model__layernorm__placement="post", optim__lr=3e-3, seed=1),
        run(None, "diverged", model__layernorm__placement="post", optim__lr=3e-3, seed=2),
    ]
    found = comparisons(runs)[0]
    assert [str(level) for level in found.levels] == ["post (lr 0.001)", "pre (lr 0.001)"]
    assert found.sentence().endswith("2 seeds; without post-0.003-2 (diverged)")


def test_the_numbers_of_the_recipe_are_tuned_and_its_choices_compared() -> None:
    assert {"optim.lr", "optim.weight_decay", "schedule.warmup_steps"} <= TUNED
    assert not {"optim.name", "schedule.decay", "model.dropout", "trainer.max_steps"} & TUNED
    runs = [
        run(loss, optim__name=name, schedule__decay=decay)
        for loss, name, decay in (
            (4.0, "adam", "cosine"),
            (4.1, "adam", "linear"),
            (4.2, "sgd", "cosine"),
            (4.3, "sgd", "linear"),
        )
    ]
    assert [line.split(":")[0] for line in said(runs)] == [
        "optim.name, decay cosine",
        "optim.name, decay linear",
        "decay, optim.name adam",
        "decay, optim.name sgd",
    ]


def test_other_options_are_kept_apart() -> None:
    runs = [
        *place({"pre": (4.0,), "post": (4.1,)}, model__num_layers=2),
        *place({"pre": (3.9,), "post": (5.0,)}, model__num_layers=8),
    ]
    assert [line.split(":")[0] for line in said(runs)] == [
        "placement, num_layers 2",
        "placement, num_layers 8",
    ]


def test_a_level_without_any_loss_is_named() -> None:
    runs = place({"pre": (4.0, 4.1)})
    runs += [
        run(None, "diverged", model__layernorm__placement="post", seed=seed) for seed in range(1, 6)
    ]
    (line,) = said(runs)
    assert line == (
        "placement: not compared; without post-1 (diverged), post-2 (diverged), post-3 (diverged) "
        "and 2 more"
    )


def test_seeds_that_no_two_levels_share_are_not_compared() -> None:
    runs = [
        run(4.0, model__layernorm__placement="pre", seed=1),
        run(4.5, model__layernorm__placement="post", seed=2),
    ]
    assert said(runs) == ["placement: not compared"]


@pytest.mark.parametrize(
    ("key", "values", "labels"),
    [
        ("optim.lr", (1e-3, 3e-3), ["lr 0.001", "lr 0.003"]),
        ("trainer.precision", ("fp32", "bf16"), ["fp32", "bf16"]),
        ("data.path", ("a", "b"), ["a", "b"]),
        ("model.dropout", (0.0, 0.1), ["dropout 0", "dropout 0.1"]),
        ("model.recompute", (True, False), ["recompute true", "recompute false"]),
        ("schedule.decay_steps", (None, 100), ["decay_steps null", "decay_steps 100"]),
        ("data.weights", ([1.0], [2.0]), ["data.weights [1]", "data.weights [2]"]),
        ("model.init_std", (0.02, 0.04), ["init_std 0.02", "init_std 0.04"]),
        ("model.ffn_hidden_size", (64, 96), ["ffn_hidden_size 64", "ffn_hidden_size 96"]),
        ("trainer.micro_batch_size", (2, 4), ["micro_batch_size 2", "micro_batch_size 4"]),
    ],
)
def test_whatever_was_swept_is_compared(
    key: str, values: tuple[Any, ...], labels: list[str]
) -> None:
    assert key in options()
    runs = [
        run(4.0 + index, **{key.replace(".", "__"): value}) for index, value in enumerate(values)
    ]
    (found,) = findings(runs)
    assert isinstance(found, Comparison)
    assert [level.label for level in found.levels] == labels
    other = "; their validation text or tokens differ too"
    assert found.sentence().endswith(other) == key.startswith("data.")


def test_options_that_follow_from_a_choice_are_part_of_it() -> None:
    runs = [
        run(4.0, optim__name="adamw", optim__beta1=0.9, optim__lr=1e-3, seed=1),
        run(4.0, optim__name="sgd", optim__beta1=0.0, optim__lr=1e-1, seed=1),
    ]
    (optimizer,) = factors(runs)
    assert optimizer.title == "optim.name"
    assert {"optim.name", "optim.beta1", "optim.lr"} == optimizer.keys
    # Another rate for each placement: a difference may be the rate's, and the sentence says so.
    runs = [
        run(4.0, model__layernorm__placement="pre", optim__lr=1e-3),
        run(4.1, model__layernorm__placement="post", optim__lr=2e-3),
    ]
    assert said(runs)[0].startswith("placement (with lr): pre ends lower than post")


def test_random_rates_do_not_hide_the_placement() -> None:
    runs = [
        run(4.0 + rate, model__layernorm__placement=place, optim__lr=rate)
        for place, rate in (("pre", 0.011), ("pre", 0.012), ("post", 0.013), ("post", 0.014))
    ]
    assert [factor.name for factor in factors(runs)] == ["placement", "lr"]
    assert said(runs)[0].startswith(
        "placement, each at its best lr: pre (lr 0.011) ends lower than post (lr 0.013)"
    )
    numbers = [
        run(4.0, model__dropout=dropout, optim__lr=rate)
        for dropout, rate in ((0.0, 0.011), (0.0, 0.012), (0.1, 0.013), (0.1, 0.014))
    ]
    assert [factor.title for factor in factors(numbers)] == ["dropout", "lr"]


def test_size_degree_and_seed_are_not_compared_a_second_time() -> None:
    runs = [
        Run(Path("x"), flatten(asdict(config(model, tp, seed=seed))))
        for model in (PICO, NANO)
        for tp in (1, 2)
        for seed in (1, 2)
    ]
    assert factors(runs) == []
