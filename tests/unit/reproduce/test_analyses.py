"""The committed analyses on planted curves: each verdict follows from what was planted."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from hydratron.config.folders import conf_dir
from hydratron.reproduce.catalog import Artifact, artifacts
from hydratron.reproduce.figure import Analysis, Panel
from hydratron.reproduce.results import analyse

KNOWN = {a.name: a for a in artifacts(conf_dir().parent / "experiments")}
FIG6, GATE = KNOWN["fig6_gpt_scaling"], KNOWN["tp_equivalence"]
BLOCKS = {"gpt_pico": 400_000, "gpt_nano": 1_800_000, "gpt_micro": 4_700_000}
TOKENS = (0, 1000, 2000, 3000, 4000)


def who(artifact: Artifact, **identity: Any) -> dict[str, Any]:
    given = {"run": "r", "status": "completed", "parallel": "single", "parameters": 1, "blocks": 1}
    return given | dict.fromkeys(artifact.settings, 1e-3) | identity


def sizes(
    finals: dict[str, tuple[float, ...]], diverged: tuple[str, int] | None = None
) -> Analysis:
    """Straight curves from 7 at no tokens to each model's final loss in seeds 1, 2, ..."""
    rows = []
    for model, losses in finals.items():
        for seed, loss in enumerate(losses, 1):
            status = "diverged" if (model, seed) == diverged else "completed"
            run = f"{model}-s{seed}"
            identity = who(
                FIG6, run=run, model=model, seed=seed, status=status,
                blocks=BLOCKS[model], parameters=2 * BLOCKS[model],
            )  # fmt: skip
            for tokens in TOKENS:
                value = 7 + (loss - 7) * tokens / TOKENS[-1]
                position = {"step": tokens // 100, "tokens": tokens, "val/loss": value}
                rows.append(identity | position)
    return analyse(FIG6, FIG6.profile("small"), pd.DataFrame(rows))


def statuses(analysis: Analysis) -> dict[str, str]:
    return {verdict.claim.name: str(verdict.status) for verdict in analysis.verdicts}


def law() -> dict[str, tuple[float, ...]]:
    """Losses 10 N^-b with b 0.0595, 0.06 and 0.0605 in the three seeds."""
    exponents = (0.0595, 0.06, 0.0605)
    return {model: tuple(10 * n**-b for b in exponents) for model, n in BLOCKS.items()}


def test_an_order_that_was_planted() -> None:
    analysis = sizes(law())
    assert statuses(analysis) == {
        "order": "REPRODUCED",
        "faster": "REPRODUCED",
        "law": "REPRODUCED",
    }
    order, faster, exponent = analysis.verdicts
    finals = law()
    gaps = [finals["gpt_nano"][i] - finals["gpt_micro"][i] for i in range(3)]
    assert order.effect == pytest.approx(sum(gaps) / 3)
    # A straight line reaches 7 - d after d / (its own fall) of the tokens.
    saved = [1 - (7 - finals["gpt_pico"][i]) / (7 - finals["gpt_nano"][i]) for i in range(3)]
    assert faster.effect == pytest.approx(sum(saved) / 3)
    assert exponent.effect == pytest.approx(0.06)
    assert analysis.table["model"].tolist() == list(BLOCKS)
    assert analysis.table["val/loss"].tolist() == pytest.approx(
        [sum(losses) / 3 for losses in finals.values()]
    )
    assert analysis.notes == []


def test_the_same_curves_by_what_they_cost() -> None:
    analysis = sizes(law())
    by_tokens, by_compute = (
        figure.panels[0] for figure in (analysis.figure, analysis.more["compute"])
    )
    assert isinstance(by_tokens, Panel)
    assert isinstance(by_compute, Panel)
    for n, tokens, cost in zip(BLOCKS.values(), by_tokens.lines, by_compute.lines, strict=True):
        assert tokens.x == list(map(float, TOKENS[1:]))
        assert cost.x == pytest.approx([6 * 2 * n * t / 1e12 for t in TOKENS[1:]])
        assert cost.y == tokens.y


def test_a_reversed_order() -> None:
    reversed_losses = dict(zip(BLOCKS, reversed(law().values()), strict=True))
    found = statuses(sizes(reversed_losses))
    assert found["order"] == found["faster"] == found["law"] == "NOT REPRODUCED"


def test_one_seed_against_it_is_told() -> None:
    finals = law() | {"gpt_micro": (3.9, 3.9, 6.9)}
    order = sizes(finals).verdicts[0]
    assert str(order.status) == "INCONCLUSIVE"
    assert order.details[0].endswith("in 3 of 3 seeds")
    assert order.details[1].endswith("in 2 of 3 seeds; the interval holds 0")


def test_sizes_that_curve_are_no_power_law() -> None:
    curved = {
        model: tuple(2 + 300 * n**-0.4 + shift for shift in (-0.01, 0, 0.01))
        for model, n in BLOCKS.items()
    }
    found = sizes(curved)
    assert statuses(found) == {
        "order": "REPRODUCED",
        "faster": "REPRODUCED",
        "law": "NOT REPRODUCED",
    }
    assert "depart from it more" in found.verdicts[2].details[1]


def test_sizes_need_not_have_the_same_seeds() -> None:
    finals = law() | {"gpt_micro": law()["gpt_micro"][:2]}
    order = sizes(finals).verdicts[0]
    assert (str(order.status), order.n) == ("INCONCLUSIVE", 2)
    assert order.details[0].endswith("in 3 of 3 seeds")


def test_a_diverged_run_counts_against_it_and_is_named() -> None:
    analysis = sizes(law(), diverged=("gpt_pico", 2))
    found = statuses(analysis)
    assert found["order"] == found["faster"] == "NOT REPRODUCED"
    assert found["law"] == "REPRODUCED"
    assert analysis.notes == ["diverged: gpt_pico-s2"]
    assert analysis.table["diverged"].tolist() == [1, 0, 0]


def test_two_seeds_are_too_few() -> None:
    finals = {model: losses[:2] for model, losses in law().items()}
    assert set(statuses(sizes(finals)).values()) == {"INCONCLUSIVE"}


def degrees(**planted: Any) -> Analysis:
    """Four degrees that agree to 1e-7; `tp2={3: 1e-4}` plants a difference at step 3."""
    rows = []
    for parallel in ("single", "tp2", "tp4", "dp2"):
        for step in range(1, 6):
            far = planted.get(parallel, {}).get(step, 1e-7 if parallel != "single" else 0.0)
            identity = who(GATE, parallel=parallel, model="gpt_nano", seed=1, step=step)
            norm = 2.0 / step * (1 + far)
            rows.append(identity | {"tokens": step, "train/loss": 5.0, "grad_norm": norm})
    return analyse(GATE, GATE.profile("small"), pd.DataFrame(rows))


def test_degrees_that_agree() -> None:
    tensor, data = degrees().verdicts
    assert str(tensor.status) == str(data.status) == "REPRODUCED"
    assert (tensor.n, data.n) == (20, 10)
    assert tensor.effect == pytest.approx(1e-7)


@pytest.mark.parametrize("far", [1.1e-5, -2e-5, math.nan])
def test_one_step_beyond_the_bound(far: float) -> None:
    analysis = degrees(tp4={3: far})
    assert statuses(analysis) == {"tensor": "NOT REPRODUCED", "data": "REPRODUCED"}
    assert analysis.table["within the bound"].tolist() == [True, False, True]


def test_a_run_that_stopped_early_is_infinitely_far() -> None:
    panel = degrees().figure.panels[0]
    assert isinstance(panel, Panel)
    rows = panel.lines[0]
    assert len(rows.x) == 5
    frame = pd.DataFrame(
        who(GATE, parallel=p, model="m", seed=1, step=s) | {"train/loss": 1.0, "grad_norm": 1.0}
        for p, last in (("single", 3), ("tp2", 2), ("dp2", 3))
        for s in range(1, last + 1)
    )
    assert statuses(analyse(GATE, GATE.profile("small"), frame)) == {
        "tensor": "NOT REPRODUCED",
        "data": "REPRODUCED",
    }
