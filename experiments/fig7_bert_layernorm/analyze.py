"""Post-LN against pre-LN by depth and learning rate: who trains, who ends lower, and where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from hydratron.reporting.estimate import estimate
from hydratron.reporting.palette import on_white
from hydratron.reporting.verdict import Claim, direction, in_every_seed, magnitude, paired
from hydratron.reproduce.collect import diverged_notes
from hydratron.reproduce.draw import number
from hydratron.reproduce.figure import Analysis, Figure, HeatMap, Line, Panel

LOSS, PLATEAU = "val/mlm_loss", "val/frequency_loss"
PLACEMENT, DEPTH, RATE = "model.layernorm.placement", "model.num_layers", "optim.lr"
POST, PRE = "post", "pre"
COLOURS = dict(zip((POST, PRE), on_white((POST, PRE)), strict=True))
Cell = tuple[str, int, float]
Finals = Mapping[Cell, Mapping[int, float]]
"""Final loss by (placement, depth, rate) and seed; infinity for a run that diverged."""


def analyze(frame: pd.DataFrame, criteria: dict[str, Any]) -> Analysis:
    """Figure, table and verdicts from one row per validation of every run."""
    finals = _finals(frame)
    # Above this a run has failed to train.
    plateau = float(frame[PLATEAU].dropna().iloc[0])
    limit = plateau - float(criteria["margin"])
    shallow, deep, rate = criteria["shallow"], criteria["deep"], float(criteria["rate"])
    best = {place: float(criteria["best"][place]) for place in (POST, PRE)}
    at_best = {place: finals.get((place, deep, best[place]), {}) for place in (POST, PRE)}
    lower = paired(finals.get((POST, deep, rate), {}), finals.get((PRE, deep, rate), {}))
    tuned = paired(at_best[POST], at_best[PRE])
    verdicts = [
        in_every_seed(Claim.of(criteria, "shallow"), _both_train(finals, shallow, rate, limit)),
        in_every_seed(Claim.of(criteria, "deep"), _one_breaks(finals, deep, rate, limit)),
        direction(Claim.of(criteria, "lower"), estimate(list(lower.values()))),
        magnitude(Claim.of(criteria, "lower"), estimate(list(lower.values())), None),
        direction(Claim.of(criteria, "tuned"), estimate(list(tuned.values()))),
    ]
    known = f"frequencies alone: {plateau:.3f} nats; a run above {limit:.3f} has failed to train"
    notes = [known, _breaks(finals, limit), *diverged_notes(frame)]
    figure = _figure(frame, finals, rate, plateau, limit)
    return Analysis(figure, _table(frame, finals, limit), verdicts, notes)


def _finals(frame: pd.DataFrame) -> dict[Cell, dict[int, float]]:
    found: dict[Cell, dict[int, float]] = {}
    keys = [PLACEMENT, DEPTH, RATE, "seed", "status"]
    for (place, depth, rate, seed, status), rows in frame.groupby(keys, sort=True):
        values = rows[LOSS].dropna()
        loss = math.inf if status == "diverged" or values.empty else float(values.iloc[-1])
        found.setdefault((str(place), int(depth), float(rate)), {})[int(seed)] = loss
    return found


def _both_train(finals: Finals, depth: int, rate: float, limit: float) -> dict[int, float]:
    """By how much the worse placement is below the limit, by seed."""
    pairs = (finals.get((place, depth, rate), {}) for place in (POST, PRE))
    first, second = pairs
    return {s: limit - max(first[s], second[s]) for s in sorted(first.keys() & second.keys())}


def _one_breaks(finals: Finals, depth: int, rate: float, limit: float) -> dict[int, float]:
    """The smaller of what post-LN is above the limit and pre-LN below it, by seed."""
    post, pre = (finals.get((place, depth, rate), {}) for place in (POST, PRE))
    # A run that diverged is above every limit; its distance says nothing.
    return {
        s: min(post[s] - limit if math.isfinite(post[s]) else limit - pre[s], limit - pre[s])
        for s in sorted(post.keys() & pre.keys())
    }


def _fails(losses: Mapping[int, float], limit: float) -> bool:
    """Whether most seeds failed to train."""
    return 2 * sum(loss > limit for loss in losses.values()) > len(losses)


def _breaks(finals: Finals, limit: float) -> str:
    """The smallest depth, and rate there, at which post-LN breaks and pre-LN does not."""
    found = sorted(
        (depth, rate)
        for (place, depth, rate), losses in finals.items()
        if place == POST
        and (PRE, depth, rate) in finals
        and _fails(losses, limit)
        and not _fails(finals[PRE, depth, rate], limit)
    )
    if not found:
        return "at no depth and rate did post-LN fail to train where pre-LN trained"
    depth, rate = found[0]
    return (
        f"smallest depth and, there, learning rate at which post-LN fails to train and pre-LN "
        f"trains: {depth} layers, {number(rate)}"
    )


def _mean(losses: Mapping[int, float]) -> float:
    return estimate(list(losses.values())).value


def _table(frame: pd.DataFrame, finals: Finals, limit: float) -> pd.DataFrame:
    """One row per cell of the map."""
    others = [key for key in ("val/sop_loss", "val/sop_accuracy") if key in frame]
    rows = []
    for (place, depth, rate), losses in finals.items():
        own = frame[(frame[PLACEMENT] == place) & (frame[DEPTH] == depth) & (frame[RATE] == rate)]
        last = own.dropna(subset=[LOSS]).groupby("seed").last()
        found = estimate([loss for loss in losses.values() if math.isfinite(loss)])
        rows.append(
            {
                "placement": place,
                "layers": depth,
                "learning rate": rate,
                "seeds": len(losses),
                "fail to train": sum(loss > limit for loss in losses.values()),
                LOSS: found.value,
                "± 95 %": math.nan if found.half is None else found.half,
                **{key: float(last[key].mean()) for key in others},
            }
        )
    return pd.DataFrame(rows).sort_values(["layers", "learning rate", "placement"])


def _figure(
    frame: pd.DataFrame, finals: Finals, rate: float, plateau: float, limit: float
) -> Figure:
    depths = sorted({depth for _, depth, _ in finals})
    curves = [_curves(frame, depth, rate, plateau) for depth in depths]
    finite = [loss for losses in finals.values() for loss in losses.values() if loss < math.inf]
    shades = (min([*finite, plateau]), plateau)
    maps = [_map(finals, place, limit, shades) for place in (POST, PRE)]
    return Figure("BERT with LayerNorm after (post) and before (pre) each sublayer", curves, maps)


def _curves(frame: pd.DataFrame, depth: int, rate: float, plateau: float) -> Panel:
    """Mean and range over the seeds at the shared rate."""
    lines = []
    for place in (POST, PRE):
        own = frame[
            (frame[PLACEMENT] == place)
            & (frame[DEPTH] == depth)
            & (frame[RATE] == rate)
            & (frame["status"] == "completed")
            # The first validation, before any training, would take most of the axis.
            & (frame["step"] > 0)
        ]
        steps = own.dropna(subset=[LOSS]).groupby("step")[LOSS]
        low, high = ([float(v) for v in edge] for edge in (steps.min(), steps.max()))
        mean = [float(v) for v in steps.mean()]
        x = [int(step) for step in steps.groups]
        lines.append(Line(place, x, mean, COLOURS[place], band=(low, high)))
    title = f"{depth} layers, learning rate {number(rate)}"
    return Panel(title, "step", "masked loss, nats", lines, rule=(plateau, "frequencies alone"))


def _map(finals: Finals, place: str, limit: float, shades: tuple[float, float]) -> HeatMap:
    """Mean final losses of a placement; a cell is crossed where most seeds failed to train."""
    depths = sorted({depth for _, depth, _ in finals})
    rates = sorted({rate for _, _, rate in finals})
    cells = {(d, r): finals.get((place, d, r)) for d in depths for r in rates}
    values = [
        [math.nan if (own := cells[d, r]) is None else _mean(own) for r in rates] for d in depths
    ]
    crossed = frozenset(
        (i, j)
        for i, d in enumerate(depths)
        for j, r in enumerate(rates)
        if (own := cells[d, r]) is not None and _fails(own, limit)
    )
    return HeatMap(
        f"{place}: mean final loss", "learning rate", "layers", [number(r) for r in rates],
        [str(d) for d in depths], values, shades, crossed, "fails to train",
    )  # fmt: skip
