"""The analysis of Figure 7 on planted runs: each verdict follows from what was planted."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from hydratron.config.folders import conf_dir
from hydratron.reproduce.catalog import artifacts
from hydratron.reproduce.draw import svg
from hydratron.reproduce.figure import Analysis, HeatMap
from hydratron.reproduce.results import analyse

FIG7 = {a.name: a for a in artifacts(conf_dir().parent / "experiments")}["fig7_bert_layernorm"]
PROFILE = FIG7.profile("smoke")
PLATEAU = 5.3
Planted = dict[tuple[str, int], tuple[float, ...]]
# Final losses of seeds 1, 2, 3 by placement and depth, at the shared rate.
PAPER: Planted = {
    ("post", 4): (4.80, 4.82, 4.81),
    ("pre", 4): (4.90, 4.91, 4.92),
    ("post", 12): (5.29, 5.31, 5.30),
    ("pre", 12): (5.00, 5.02, 5.01),
}


def planted(
    finals: Planted, *, diverged: tuple[str, int, int] | None = None, slower: Planted | None = None
) -> Analysis:
    """Two validations of each run; `slower` is at a third of the rate."""
    rows = []
    for rate, cells in ((3e-3, finals), (1e-3, slower or {})):
        for (place, depth), losses in cells.items():
            for seed, loss in enumerate(losses, 1):
                broken = rate == 3e-3 and (place, depth, seed) == diverged
                run = {
                    "run": f"{place}-{depth}-{seed}",
                    "status": "diverged" if broken else "completed",
                    "seed": seed,
                    "model.layernorm.placement": place,
                    "model.num_layers": depth,
                    "optim.lr": rate,
                    "val/sop_loss": 0.69,
                    "val/sop_accuracy": 0.5,
                }
                rows.append(run | {"step": 0, "val/mlm_loss": 6.5, "val/frequency_loss": PLATEAU})
                rows.append(run | {"step": 600, "val/mlm_loss": loss})
    return analyse(FIG7, PROFILE, pd.DataFrame(rows))


def statuses(analysis: Analysis) -> list[tuple[str, str, str]]:
    return [(v.claim.name, v.aspect, str(v.status)) for v in analysis.verdicts]


def test_what_the_paper_claims() -> None:
    analysis = planted(PAPER)
    assert statuses(analysis) == [
        ("shallow", "direction", "REPRODUCED"),
        ("deep", "direction", "REPRODUCED"),
        ("lower", "direction", "REPRODUCED"),
        ("tuned", "direction", "REPRODUCED"),
    ]
    shallow, deep, lower, *_ = analysis.verdicts
    assert shallow.effect == pytest.approx(5.25 - 4.91)
    # The limit is 5.25: post-LN is 0.04 to 0.06 above, pre-LN 0.23 and more below.
    assert deep.effect == pytest.approx((0.04 + 0.06 + 0.05) / 3)
    assert lower.effect == pytest.approx(0.29)
    assert analysis.notes == [
        "frequencies alone: 5.300 nats; a run above 5.250 has failed to train",
        "smallest depth and, there, learning rate at which post-LN fails to train and pre-LN "
        "trains: 12 layers, 0.003",
    ]


def test_post_ln_that_trains_at_depth_is_against_it() -> None:
    analysis = planted(PAPER | {("post", 12): (4.9, 4.95, 4.92)})
    found = {name: status for name, _, status in statuses(analysis)[:3]}
    assert found == {
        "shallow": "REPRODUCED",
        "deep": "NOT REPRODUCED",
        "lower": "NOT REPRODUCED",
    }
    assert "at no depth and rate" in analysis.notes[1]


def test_pre_ln_that_breaks_too_is_no_reproduction() -> None:
    both = PAPER | {("pre", 12): (5.30, 5.30, 5.31)}
    analysis = planted(both)
    assert statuses(analysis)[1] == ("deep", "direction", "NOT REPRODUCED")
    assert "at no depth and rate" in analysis.notes[1]


def test_one_seed_in_which_it_trains_is_enough() -> None:
    analysis = planted(PAPER | {("post", 12): (5.29, 5.0, 5.30)})
    deep = analysis.verdicts[1]
    assert str(deep.status) == "INCONCLUSIVE"
    assert deep.details == ("in 2 of 3 seeds", "the interval holds 0")


def test_a_hair_in_every_seed_is_not_enough() -> None:
    analysis = planted(PAPER | {("post", 12): (5.30, 5.30, 5.30), ("pre", 12): (5.21, 5.24, 5.249)})
    deep = analysis.verdicts[1]
    assert str(deep.status) == "INCONCLUSIVE"
    assert deep.details == ("in 3 of 3 seeds", "the interval holds 0")


def test_a_diverged_run_has_failed_to_train() -> None:
    broken = PAPER | {("post", 12): (5.50, 5.51, 5.49)}
    analysis = planted(broken, diverged=("post", 12, 2))
    found = {name: (aspect, status) for name, aspect, status in statuses(analysis)}
    assert found["deep"] == ("direction", "REPRODUCED")
    # Its distance is not a number: how much lower pre-LN ends is not known.
    assert statuses(analysis)[2] == ("lower", "direction", "INCONCLUSIVE")
    assert analysis.notes[-1] == "diverged: post-12-2"
    against = planted(PAPER, diverged=("pre", 12, 2))
    assert statuses(against)[1] == ("deep", "direction", "NOT REPRODUCED")


def test_the_maps_cross_what_fails_in_most_seeds() -> None:
    slower: Planted = {("post", 12): (5.0, 5.1, 5.29), ("pre", 12): (5.31, 5.29, 5.0)}
    analysis = planted(PAPER, slower=slower)
    post, pre = analysis.figure.below
    assert isinstance(post, HeatMap)
    assert isinstance(pre, HeatMap)
    assert (post.columns, post.rows) == (["0.001", "0.003"], ["4", "12"])
    assert math.isnan(post.values[0][0])
    assert post.values[1] == pytest.approx([5.13, 5.3])
    assert post.crossed == {(1, 1)}
    assert pre.crossed == {(1, 0)}
    assert post.limits == pre.limits == (4.80, PLATEAU)


def test_the_table_has_a_row_for_every_cell() -> None:
    table = planted(PAPER).table
    assert table["layers"].tolist() == [4, 4, 12, 12]
    assert table["placement"].tolist() == ["post", "pre", "post", "pre"]
    assert table["fail to train"].tolist() == [0, 0, 3, 0]
    assert table["val/mlm_loss"].tolist() == pytest.approx([4.81, 4.91, 5.30, 5.01])
    assert table["val/sop_accuracy"].tolist() == [0.5] * 4


def test_curves_are_those_of_the_shared_rate() -> None:
    analysis = planted(PAPER, slower={("post", 12): (9.0, 9.0, 9.0)})
    panels = analysis.figure.panels
    assert [panel.title for panel in panels] == [
        "4 layers, learning rate 0.003",
        "12 layers, learning rate 0.003",
    ]
    (post, pre) = panels[1].lines  # type: ignore[union-attr]
    assert (post.x, post.y) == ([600], pytest.approx([5.3]))
    assert post.band == ([5.29], [5.31])
    assert pre.label == "pre"


def test_runs_that_are_all_above_the_plateau_can_be_drawn() -> None:
    above = planted(dict.fromkeys(PAPER, (6.0, 6.1, 6.2)))
    assert svg(above.figure)
