"""The analysis of the map of placements on planted runs: verdicts follow from what was planted."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from hydratron.config.folders import conf_dir
from hydratron.reproduce.catalog import artifacts
from hydratron.reproduce.figure import Analysis, HeatMap, Panel
from hydratron.reproduce.results import analyse

MAP = {a.name: a for a in artifacts(conf_dir().parent / "experiments")}["layernorm_map"]
PLATEAU, SEEDS = 6.0, (1, 2, 3)
# The limit is 5.95.  (placement, rate, warm-up, degrees): final loss, to which seeds add 0.01 each.
Cells = dict[tuple[str, float, int, str], float]
PLANTED: Cells = {
    ("post", 1e-3, 25, "single"): 5.0,
    ("post", 3e-3, 25, "single"): 6.02,
    ("post", 3e-3, 250, "single"): 5.2,
    ("pre", 3e-3, 25, "single"): 4.6,
    ("pre", 3e-3, 25, "tp2"): 4.6,
    ("pre", 1e-2, 25, "single"): 4.5,
    ("deepnorm", 3e-3, 25, "single"): 5.5,
    ("sandwich", 3e-3, 25, "single"): 5.1,
}


def planted(cells: Cells) -> Analysis:
    """Runs of 12 layers, with two validations each and norms of two layers at one watched step."""
    rows: list[dict[str, Any]] = []
    for (place, rate, warmup, degrees), loss in cells.items():
        for seed in SEEDS:
            run = {
                "run": f"{place}-{rate}-{warmup}-{degrees}-{seed}",
                "status": "completed",
                "seed": seed,
                "parallel": degrees,
                "model.layernorm.placement": place,
                "model.num_layers": 12,
                "optim.lr": rate,
                "schedule.warmup_steps": warmup,
            }
            final = loss + 0.01 * seed
            rows.append(run | {"step": 0, "val/loss": 7.1, "val/frequency_loss": PLATEAU})
            rows.append(run | {"step": 25, "layers/00/grad_norm": 1.0, "layers/01/grad_norm": 2.0})
            rows.append(run | {"step": 500, "val/loss": final})
    return analyse(MAP, MAP.profile("small"), pd.DataFrame(rows))


def statuses(analysis: Analysis) -> dict[str, str]:
    return {v.claim.name: str(v.status) for v in analysis.verdicts}


def test_what_was_planted_is_found() -> None:
    analysis = planted(PLANTED)
    assert set(statuses(analysis).values()) == {"REPRODUCED"}
    effects = {v.claim.name: v.effect for v in analysis.verdicts}
    assert effects["stops"] == pytest.approx(6.04 - 5.95)
    assert effects["best"] == pytest.approx(0.5)
    assert effects["deepnorm"] == pytest.approx(6.04 - 5.95)
    assert effects["sandwich"] == pytest.approx(6.04 - 5.95)
    assert effects["degrees"] == 0
    assert "post trains up to a rate of: 12 layers 0.001 (best 0.001)" in analysis.notes
    assert (
        "post at 12 layers and 0.003, after a warm-up of: 25 steps 6.040, fails; 250 steps 5.220"
        in (analysis.notes)
    )


@pytest.mark.parametrize(
    ("cell", "loss", "against"),
    [
        (("post", 3e-3, 25, "single"), 5.3, {"stops", "deepnorm", "sandwich", "warmup"}),
        (("pre", 3e-3, 25, "single"), 6.1, {"stops", "degrees"}),
        (("pre", 1e-2, 25, "single"), 5.4, {"best"}),
        (("deepnorm", 3e-3, 25, "single"), 6.1, {"deepnorm"}),
        (("sandwich", 3e-3, 25, "single"), 6.1, {"sandwich"}),
        (("post", 3e-3, 250, "single"), 6.1, {"warmup"}),
        (("pre", 3e-3, 25, "tp2"), 4.601, {"degrees"}),
    ],
)
def test_each_claim_hangs_on_its_cells(
    cell: tuple[str, float, int, str], loss: float, against: set[str]
) -> None:
    found = statuses(planted(PLANTED | {cell: loss}))
    assert {name for name, status in found.items() if status == "NOT REPRODUCED"} == against


def test_the_maps_hold_only_the_usual_warm_up_and_one_process() -> None:
    analysis = planted(PLANTED)
    post, pre, *_ = analysis.figure.panels
    assert isinstance(post, HeatMap)
    assert isinstance(pre, HeatMap)
    assert post.columns == ["0.001", "0.003", "0.01"]
    assert post.crossed == {(0, 1)}
    assert pre.values[0][1:] == pytest.approx([4.62, 4.52])
    gradients = analysis.figure.below[1]
    assert isinstance(gradients, Panel)
    assert [line.label for line in gradients.lines] == ["post", "pre", "deepnorm", "sandwich"]
    assert gradients.lines[0].y == [1.0, 2.0]
