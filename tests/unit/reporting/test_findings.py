from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hydratron.config.model import ModelConfig
from hydratron.config.schema import OptimConfig
from hydratron.job import flatten
from hydratron.reporting.agreements import Agreement, agreements
from hydratron.reporting.findings import findings
from hydratron.reporting.levels import Level
from hydratron.reporting.orders import SharedRate, Size, SizeOrder, size_orders
from hydratron.reporting.records import Run
from tests.unit.reporting.synthetic import MICRO, NANO, PARAMETERS, PICO, config


def run(
    model: ModelConfig = PICO,
    loss: float | None = 4.0,
    *,
    tp: int = 1,
    seed: int = 1,
    lr: float = 1e-3,
    status: str = "completed",
    rows: Sequence[dict[str, Any]] = (),
    settings: dict[str, Any] | None = None,
) -> Run:
    cfg = replace(config(model, tp, seed=seed), optim=OptimConfig(lr=lr))
    result: dict[str, Any] = {"status": status, "parameters": PARAMETERS.get(model.name)}
    if loss is not None:
        result["val/loss"] = loss
    return Run(
        Path(f"{model.name}-tp{tp}-s{seed}"),
        flatten(asdict(cfg)) | (settings or {}),
        rows=list(rows),
        result=result,
    )


def size(model: str, parameters: int, loss: float) -> Size:
    return Size(parameters, Level(model, "", {1: loss}))


def test_sizes_that_are_ordered() -> None:
    runs = [run(MICRO, 4.4020), run(PICO, 4.7412), run(NANO, 4.4613)]
    order, rate = size_orders(runs)
    assert order == SizeOrder(
        "",
        (
            size("gpt_pico", 545_280, 4.7412),
            size("gpt_nano", 2_001_024, 4.4613),
            size("gpt_micro", 5_034_496, 4.4020),
        ),
    )
    assert order.holds is True
    assert order.sentence() == (
        "sizes: gpt_pico 4.7412 > gpt_nano 4.4613 > gpt_micro 4.4020: ordered, the larger the lower"
    )
    assert rate == SharedRate(1e-3)
    assert rate.sentence() == ("one shared, untuned learning rate (1e-3); not a tuned comparison")


@pytest.mark.parametrize(
    ("losses", "line"),
    [
        ((4.7, 4.4, 4.5), "gpt_pico 4.7000 > gpt_nano 4.4000 < gpt_micro 4.5000: NOT ordered"),
        ((4.7, 4.4, 4.4), "gpt_pico 4.7000 > gpt_nano 4.4000 = gpt_micro 4.4000: NOT ordered"),
    ],
)
def test_sizes_that_are_not_ordered_and_ties(losses: tuple[float, ...], line: str) -> None:
    order = size_orders([run(m, v) for m, v in zip((PICO, NANO, MICRO), losses, strict=True)])[0]
    assert order.holds is False
    assert order.sentence() == f"sizes: {line}"


def test_models_of_equal_size_have_no_order_between_them() -> None:
    sizes = (size("a", 10, 5.0), size("b", 20, 4.0), size("c", 20, 3.9))
    assert SizeOrder("", sizes).holds is True
    assert SizeOrder("", sizes[1:]).holds is None


@pytest.mark.parametrize(
    ("missing", "word"),
    [
        (run(MICRO, 4.3, status="failed"), "failed"),
        (run(MICRO, 4.3, status="unfinished"), "unfinished"),
        (run(MICRO, float("nan"), status="diverged"), "diverged"),
        (run(MICRO, None), "no validation loss"),
    ],
)
def test_a_missing_size_is_named(missing: Run, word: str) -> None:
    order = size_orders([run(PICO, 4.7), run(NANO, 4.4), missing])[0]
    assert order.holds is True
    assert order.sentence().endswith(f"; without gpt_micro-tp1-s1 ({word})")


def test_one_size_left_is_not_compared() -> None:
    order = size_orders([run(PICO, 4.7), run(NANO, None, status="failed")])[0]
    assert order.holds is None
    assert order.sentence() == (
        "sizes: gpt_pico 4.7000: not compared; without gpt_nano-tp1-s1 (failed)"
    )
    nobody = size_orders([run(PICO, None), run(NANO, None)])[0]
    assert "no model has a final value: not compared" in nobody.sentence()


def test_sizes_are_compared_per_degree_and_over_seeds() -> None:
    losses = ((PICO, (4.70, 4.72, 4.74)), (NANO, (4.50, 4.40, 4.42)))
    runs = [
        run(m, values[seed - 1], tp=tp, seed=seed)
        for seed in (1, 2, 3)
        for tp in (1, 2)
        for m, values in losses
    ]
    orders = [f for f in size_orders(runs) if isinstance(f, SizeOrder)]
    assert [o.context for o in orders] == ["single", "tp2"]
    assert [o.holds for o in orders] == [True, True]
    assert orders[1].sentence() == (
        "sizes, tp2: gpt_pico 4.7200 > gpt_nano 4.4400: ordered, the larger the lower in each of "
        "3 seeds; from each to the next -0.2800 [-0.4521, -0.1079]"
    )


def test_an_order_that_one_seed_lacks_is_none() -> None:
    losses = ((PICO, (4.7, 4.7, 4.7)), (NANO, (4.4, 4.8, 4.4)), (MICRO, (4.3, 4.3, 9.0)))
    runs = [
        run(m, value, seed=seed, status="failed" if value > 5 else "completed")
        for m, values in losses
        for seed, value in enumerate(values, 1)
    ]
    order = size_orders(runs)[0]
    assert order.holds is False
    # Means over the two seeds that all three have.
    assert order.sentence().startswith(
        "sizes: gpt_pico 4.7000 > gpt_nano 4.6000 > gpt_micro 4.3000: "
        "NOT ordered in 1 of 2 seeds; from each to the next -0.1000 ["
    )
    assert order.sentence().endswith("; without gpt_micro-tp1-s3 (failed)")


def test_sizes_are_compared_each_at_its_best_rate() -> None:
    found = ((PICO, {1e-3: 4.8, 3e-3: 4.7}), (NANO, {1e-3: 4.4, 3e-3: 4.9}))
    runs = [run(m, value, lr=lr) for m, rates in found for lr, value in rates.items()]
    assert size_orders(runs)[0].sentence() == (
        "sizes, each at its best lr: gpt_pico (lr 0.003) 4.7000 > gpt_nano (lr 0.001) 4.4000: "
        "ordered, the larger the lower"
    )
    # A rate of its own for each model is part of the recipe.
    own = size_orders([run(PICO, 4.7, lr=2e-3), run(NANO, 4.4, lr=1e-3)])
    assert [order.holds for order in own] == [True]
    assert own[0].sentence().startswith("sizes, each at its own lr: gpt_pico (lr 0.002) 4.7")


def test_sizes_without_a_seed_in_common_are_not_compared() -> None:
    order = size_orders([run(PICO, 4.7, seed=1), run(NANO, 4.4, seed=2)])[0]
    assert order.holds is None
    assert order.sentence().endswith("gpt_nano 4.4000: not compared")


def test_one_size_says_nothing_about_sizes() -> None:
    assert size_orders([run(PICO, 4.7, tp=tp) for tp in (1, 2)]) == []
    # Other lengths: these runs do not differ only in the model.
    longer = run(NANO, 4.4, settings={"trainer.max_steps": 800})
    assert size_orders([run(PICO, 4.7), longer]) == []


def test_the_rate_is_not_called_shared_when_there_are_two() -> None:
    runs = [run(m, 4.0 + lr, lr=lr) for lr in (1e-3, 2e-3) for m in (PICO, NANO)]
    assert not any(isinstance(f, SharedRate) for f in size_orders(runs))


def test_one_name_for_two_depths_is_told_apart_by_size() -> None:
    shallow, deep = run(PICO, 4.7), run(PICO, 4.5, settings={"model.num_layers": 8})
    deep.result["parameters"] = 2_000_000
    order = size_orders([shallow, deep])[0]
    assert order.sentence().startswith("sizes: gpt_pico (545k) 4.7000 > gpt_pico (2.00M) 4.5000")


def test_degrees_that_agree() -> None:
    single = [{"step": s, "val/loss": 5.0, "train/loss": 5.0} for s in (1, 2, 3)]
    double = [{"step": s, "val/loss": 5.00002, "train/loss": 5.0} for s in (2, 3, 4)]
    double[0]["train/loss"] = 5.0005
    (found,) = agreements([run(PICO, 4.0, rows=single), run(PICO, 4.00004, tp=2, rows=double)])
    assert isinstance(found, Agreement)
    assert found.degrees == ("single", "tp2")
    assert found.final == pytest.approx(4e-5)
    assert found.validation == pytest.approx(2e-5)
    assert found.training == pytest.approx(5e-4)
    assert found.holds is True
    assert found.sentence() == (
        "parallel, gpt_pico (single, tp2): final validation loss differs by at most 4e-5: "
        "within 1e-4; along the curves by at most 2e-5 (validation), 5e-4 (training)"
    )


def test_degrees_that_do_not_agree() -> None:
    runs = [run(PICO, loss, tp=tp) for tp, loss in ((1, 4.0), (2, 4.0001), (4, 3.9999))]
    (found,) = agreements(runs)
    assert found.holds is False
    assert "differs by at most 2e-4: NOT within 1e-4" in found.sentence()
    assert "along the curves" not in found.sentence()
    dropout = [
        run(PICO, loss, tp=tp, settings={"model.dropout": 0.1}) for tp, loss in ((1, 4.0), (2, 5))
    ]
    assert "dropout 0.1 draws other masks at each degree" in agreements(dropout)[0].sentence()


def test_agreement_is_per_model_over_all_seeds_and_never_between_seeds() -> None:
    runs = [run(m, 4.0 + s, tp=tp, seed=s) for m in (PICO, NANO) for s in (1, 2) for tp in (1, 2)]
    found = agreements(runs)
    assert [f.model for f in found if isinstance(f, Agreement)] == ["gpt_pico", "gpt_nano"]
    assert all(f.holds for f in found)


def test_a_failed_degree_is_named() -> None:
    (found,) = agreements([run(PICO, 4.0), run(PICO, 4.0, tp=2, status="failed")])
    assert found.holds is None
    assert found.sentence() == (
        "parallel, gpt_pico: not compared; without gpt_pico-tp2-s1 (failed)"
    )


def test_nothing_to_compare() -> None:
    assert findings([run(PICO)]) == []
