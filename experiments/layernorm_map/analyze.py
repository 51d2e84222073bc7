"""Four LayerNorm placements of GPT by depth, rate and warm-up: where each stops to train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hydratron.reporting.estimate import estimate
from hydratron.reporting.verdict import (
    Claim,
    Verdict,
    below_bound,
    over_seeds,
    paired,
)
from hydratron.reproduce.collect import diverged_notes
from hydratron.reproduce.draw import number
from hydratron.reproduce.figure import Analysis, Figure, Line, Panel
from hydratron.reproduce.placements import (
    COLOURS,
    DEPTH,
    PLACEMENT,
    PLACES,
    RATE,
    Cell,
    Finals,
    curves,
    fails,
    finals,
    heat_maps,
    mean,
    one_breaks,
    plateau,
    runs_of,
    table,
)

LOSS, WARMUP = "val/loss", "schedule.warmup_steps"
POST, PRE, DEEPNORM, SANDWICH = PLACES
GRADIENTS = "layers/{:02}/grad_norm"


def analyze(frame: pd.DataFrame, criteria: dict[str, Any]) -> Analysis:
    """Figure, table and verdicts from one row per validation, or watched step, of every run."""
    # tp2 is there for one comparison, and longer warm-ups for another.
    usual = frame[frame[WARMUP] == criteria["warmup"]["short"]]
    plain = usual[usual["parallel"] == "single"]
    found = finals(plain, LOSS)
    limit = plateau(frame) - float(criteria["margin"])
    verdicts = _verdicts(frame, found, criteria, limit)
    notes = [
        f"frequencies alone: {plateau(frame):.3f} nats; a run above {limit:.3f} fails to train",
        *(_border(found, place, limit) for place in PLACES),
        *_warmups(frame, criteria, limit),
        *diverged_notes(frame),
    ]
    rows = table(plain, found, LOSS, limit)
    return Analysis(_figure(plain, found, criteria, limit), rows, verdicts, notes)


def _verdicts(
    frame: pd.DataFrame, found: Finals, criteria: dict[str, Any], limit: float
) -> list[Verdict]:
    deep, rate, best = criteria["deep"], float(criteria["rate"]), criteria["best"]

    def at(place: str, rate: float) -> Mapping[int, float]:
        return found.get(Cell(place, deep, float(rate)), {})

    post, pre = at(POST, rate), at(PRE, rate)
    lower = paired(at(POST, best[POST]), at(PRE, best[PRE]))
    warm = criteria["warmup"]
    longer = finals(frame[frame[WARMUP] == warm["long"]], LOSS)
    saved = longer.get(Cell(POST, deep, rate), {})
    return [
        over_seeds(Claim.of(criteria, "stops"), one_breaks(post, pre, limit)),
        over_seeds(Claim.of(criteria, "best"), lower),
        over_seeds(Claim.of(criteria, "deepnorm"), one_breaks(post, at(DEEPNORM, rate), limit)),
        over_seeds(Claim.of(criteria, "sandwich"), one_breaks(post, at(SANDWICH, rate), limit)),
        over_seeds(Claim.of(criteria, "warmup"), one_breaks(post, saved, limit)),
        _same_run(Claim.of(criteria, "degrees"), frame, float(criteria["degrees"])),
    ]


def _same_run(claim: Claim, frame: pd.DataFrame, bound: float) -> Verdict:
    """Validation losses at tp2 beside those of one process, of every run that has both."""
    keys = [PLACEMENT, DEPTH, RATE, WARMUP, "seed", "step"]
    losses = frame.dropna(subset=[LOSS]).set_index(keys)
    one, two = (losses.loc[losses["parallel"] == p, LOSS] for p in ("single", "tp2"))
    off = (two / one - 1).abs().dropna()
    return below_bound(claim, [float(value) for value in off], bound)


def _border(found: Finals, place: str, limit: float) -> str:
    """`post trains up to: 4 layers 0.003, 12 layers 0.001`, by the largest rate that trains."""
    texts = []
    for depth in sorted({cell.depth for cell in found if cell.place == place}):
        own = {c.rate: v for c, v in found.items() if (c.place, c.depth) == (place, depth)}
        trained = [rate for rate, losses in own.items() if not fails(losses, limit)]
        best = min(own, key=lambda rate: estimate(list(own[rate].values())).value)
        largest = number(max(trained)) if trained else "no rate"
        texts.append(f"{depth} layers {largest} (best {number(best)})")
    return f"{place} trains up to a rate of: {', '.join(texts)}"


def _warmups(frame: pd.DataFrame, criteria: dict[str, Any], limit: float) -> list[str]:
    """What warm-up post-LN needs, one line for each depth and rate with a longer one."""
    own = frame[frame[PLACEMENT] == POST]
    longer = own[own[WARMUP] != criteria["warmup"]["short"]]
    lines = []
    for depth, rate in sorted(set(zip(longer[DEPTH], longer[RATE], strict=True))):
        texts = []
        for steps, rows in own[(own[DEPTH] == depth) & (own[RATE] == rate)].groupby(WARMUP):
            losses = finals(rows, LOSS)[Cell(POST, int(depth), float(rate))]
            failed = ", fails" if fails(losses, limit) else ""
            texts.append(f"{int(steps)} steps {mean(losses).value:.3f}{failed}")
        where = f"post at {int(depth)} layers and {number(float(rate))}"
        lines.append(f"{where}, after a warm-up of: {'; '.join(texts)}")
    return lines


def _figure(frame: pd.DataFrame, found: Finals, criteria: dict[str, Any], limit: float) -> Figure:
    deep, rate = criteria["deep"], float(criteria["rate"])
    maps = heat_maps(found, PLACES, plateau(frame), limit)
    below = [
        curves(frame, LOSS, "validation loss, nats", deep, rate, PLACES, limit),
        _gradients(frame, deep, rate, first=True),
        _gradients(frame, deep, rate, first=False),
    ]
    return Figure("GPT by LayerNorm placement, depth and learning rate", maps, below)


def _gradients(frame: pd.DataFrame, depth: int, rate: float, *, first: bool) -> Panel:
    """Gradient norm of each layer at the first or the last watched step, mean over seeds."""
    keys = [key for layer in range(depth) if (key := GRADIENTS.format(layer)) in frame]
    lines, steps = [], []
    for place in PLACES:
        own = runs_of(frame, Cell(place, depth, rate)).dropna(subset=keys)
        if keys and len(own):
            step = int(own["step"].min() if first else own["step"].max())
            steps.append(step)
            means = own[own["step"] == step][keys].mean()
            x = [layer + 1 for layer in range(len(keys))]
            lines.append(Line(place, x, [float(v) for v in means], COLOURS[place]))
    when = f"step {min(steps)}" if steps else "never watched"
    return Panel(f"gradient by layer, {when}", "layer", "norm", lines, y_log=True)
