"""Post-LN against pre-LN by depth and learning rate: who trains, who ends lower, and where."""

from __future__ import annotations

from typing import Any

import pandas as pd

from hydratron.reporting.verdict import Claim, over_seeds, paired
from hydratron.reproduce.collect import diverged_notes
from hydratron.reproduce.draw import number
from hydratron.reproduce.figure import Analysis, Figure
from hydratron.reproduce.placements import (
    Cell,
    Finals,
    curves,
    fails,
    finals,
    heat_maps,
    one_breaks,
    plateau,
    same_scale,
    table,
)

LOSS = "val/mlm_loss"
POST, PRE = "post", "pre"


def analyze(frame: pd.DataFrame, criteria: dict[str, Any]) -> Analysis:
    """Figure, table and verdicts from one row per validation of every run."""
    found = finals(frame, LOSS)
    # Above this a run has failed to train.
    limit = plateau(frame) - float(criteria["margin"])
    shallow, deep, rate = criteria["shallow"], criteria["deep"], float(criteria["rate"])

    def seeds(place: str, depth: int, rate: float) -> dict[int, float]:
        return dict(found.get(Cell(place, depth, rate), {}))

    post, pre = (seeds(place, deep, rate) for place in (POST, PRE))
    best = [seeds(place, deep, float(criteria["best"][place])) for place in (POST, PRE)]
    first, second = (seeds(place, shallow, rate) for place in (POST, PRE))
    both = {s: limit - max(first[s], second[s]) for s in sorted(first.keys() & second.keys())}
    verdicts = [
        over_seeds(Claim.of(criteria, "shallow"), both),
        over_seeds(Claim.of(criteria, "deep"), one_breaks(post, pre, limit)),
        over_seeds(Claim.of(criteria, "lower"), paired(post, pre)),
        over_seeds(Claim.of(criteria, "tuned"), paired(*best)),
    ]
    level = plateau(frame)
    known = f"frequencies alone: {level:.3f} nats; a run above {limit:.3f} has failed to train"
    notes = [known, _breaks(found, limit), *diverged_notes(frame)]
    others = [key for key in ("val/sop_loss", "val/sop_accuracy") if key in frame]
    rows = table(frame, found, LOSS, limit, others)
    return Analysis(_figure(frame, found, rate, limit), rows, verdicts, notes)


def _breaks(found: Finals, limit: float) -> str:
    """The smallest depth, and rate there, at which post-LN breaks and pre-LN does not."""
    broken = sorted(
        (cell.depth, cell.rate)
        for cell, losses in found.items()
        if cell.place == POST
        and (other := found.get(cell._replace(place=PRE))) is not None
        and fails(losses, limit)
        and not fails(other, limit)
    )
    if not broken:
        return "at no depth and rate did post-LN fail to train where pre-LN trained"
    depth, rate = broken[0]
    return (
        f"smallest depth and, there, learning rate at which post-LN fails to train and pre-LN "
        f"trains: {depth} layers, {number(rate)}"
    )


def _figure(frame: pd.DataFrame, found: Finals, rate: float, limit: float) -> Figure:
    depths = sorted({cell.depth for cell in found})
    label, places = "masked loss, nats", (POST, PRE)
    panels = [curves(frame, LOSS, label, depth, rate, places, limit) for depth in depths]
    maps = heat_maps(found, places, plateau(frame), limit)
    return Figure(
        "BERT with LayerNorm after (post) and before (pre) each sublayer", same_scale(panels), maps
    )
