"""Validation loss against tokens for several sizes, seeds as bands, and what it says."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pandas as pd

from hydratron.reporting.crossing import first_crossing
from hydratron.reporting.estimate import estimate
from hydratron.reporting.palette import on_white
from hydratron.reporting.power_law import PowerLaw, power_law
from hydratron.reporting.verdict import (
    Claim,
    Verdict,
    direction,
    in_every_seed,
    magnitude,
    paired,
)
from hydratron.reproduce.collect import diverged_notes
from hydratron.reproduce.figure import Analysis, Figure, Line, Panel

LOSS = "val/loss"
Finals = dict[int, dict[str, float]]


def analyze(frame: pd.DataFrame, criteria: dict[str, Any]) -> Analysis:
    """Figure, table and verdicts from one row per validation of every run."""
    models = list(frame.sort_values("blocks", kind="stable")["model"].drop_duplicates())
    blocks = {model: int(frame.loc[frame["model"] == model, "blocks"].iloc[0]) for model in models}
    finals = _finals(frame)
    law = _law(models, blocks, finals)
    verdicts = [
        _order(Claim.of(criteria, "order"), models, finals),
        _faster(Claim.of(criteria, "faster"), models, finals, frame),
        *_exponent(criteria, law, len(finals)),
    ]
    figure = _figure(frame, models, blocks, finals, law)
    return Analysis(figure, _table(frame, models, blocks, finals), verdicts, diverged_notes(frame))


def _finals(frame: pd.DataFrame) -> Finals:
    """Final loss by seed and model; infinity for a run that diverged."""
    found: Finals = {}
    for (seed, model, status), rows in frame.groupby(["seed", "model", "status"], sort=True):
        loss = math.inf if status == "diverged" else float(rows[LOSS].iloc[-1])
        found.setdefault(int(seed), {})[str(model)] = loss
    return found


def _order(claim: Claim, models: list[str], finals: Finals) -> Verdict:
    """The smallest of a seed's gaps between neighbouring sizes must be above 0."""
    gaps = {}
    for seed, losses in finals.items():
        row = [losses.get(model, math.inf) for model in models]
        whole = all(map(math.isfinite, row))
        gaps[seed] = min(a - b for a, b in pairwise(row)) if whole else -math.inf
    details = []
    for smaller, larger in pairwise(models):
        first, second = (
            {seed: f[model] for seed, f in finals.items() if math.isfinite(f.get(model, math.inf))}
            for model in (smaller, larger)
        )
        found = estimate(list(paired(first, second).values()))
        if found.n:
            half = "" if found.half is None else f" ± {found.half:.3f}"
            details.append(f"{smaller} - {larger}: {found.value:+.3f}{half} nats")
    return in_every_seed(claim, gaps, ["effect: the smallest gap of each seed", *details])


def _faster(claim: Claim, models: list[str], finals: Finals, frame: pd.DataFrame) -> Verdict:
    """The least share of tokens that a larger model saves must be above 0 in each seed."""
    saved, details = {}, []
    reached: dict[str, list[float]] = {model: [] for model in models[1:]}
    for seed, losses in finals.items():
        target = losses.get(models[0], math.inf)
        rows = frame[frame["seed"] == seed]
        total = float(rows.loc[rows["model"] == models[0], "tokens"].max())
        shares = []
        for model in models[1:]:
            curve = rows[rows["model"] == model].dropna(subset=[LOSS])
            tokens, values = (curve[key].to_numpy(float) for key in ("tokens", LOSS))
            at = first_crossing(tokens, values, target)
            share = -math.inf if at is None or not math.isfinite(target) else 1 - at / total
            shares.append(share)
            reached[model].append(share)
        saved[seed] = min(shares, default=-math.inf)
    for model, shares in reached.items():
        if shares and all(map(math.isfinite, shares)):
            mean = 100 * sum(shares) / len(shares)
            details.append(f"{model} saves {mean:.0f} % of the tokens")
    return in_every_seed(claim, saved, ["effect: the least saving of each seed", *details])


def _law(models: list[str], blocks: dict[str, int], finals: Finals) -> PowerLaw | None:
    """Through the seeds that have a finite loss of every size; None with less than two sizes."""
    rows = {seed: [losses.get(m, math.inf) for m in models] for seed, losses in finals.items()}
    whole = {seed: row for seed, row in rows.items() if all(map(math.isfinite, row))}
    if len(models) < 2 or not whole:
        return None
    return power_law([blocks[model] for model in models], whole)


def _exponent(criteria: dict[str, Any], law: PowerLaw | None, seeds: int) -> list[Verdict]:
    """Direction and magnitude of the exponent; nothing where no seed allows a fit."""
    if law is None:
        return []
    form = f"L = {law.scale:.3g} N^-{law.exponent:.3g}"
    form += f" + {law.floor:.3g}" if law.floor else ""
    details = [f"{form}, off by at most {law.residual:.3f} nats"]
    if law.spread.n < seeds:
        details.append(f"left out, a run diverged: {seeds - law.spread.n} of {seeds} seeds")
    published = criteria["paper"]["exponent"]
    return [
        direction(Claim.of(criteria, "law"), law.spread, details),
        magnitude(Claim.of(criteria, "exponent"), law.spread, published),
    ]


def _table(
    frame: pd.DataFrame, models: list[str], blocks: dict[str, int], finals: Finals
) -> pd.DataFrame:
    """One row per size: its rate, tokens, seeds, mean final loss with half its interval."""
    rows = []
    for model in models:
        own = frame[frame["model"] == model]
        losses = [found[model] for found in finals.values() if model in found]
        found = estimate([loss for loss in losses if math.isfinite(loss)])
        rows.append(
            {
                "model": model,
                "block weights": blocks[model],
                "learning rate": own["optim.lr"].iloc[0],
                "tokens": own["tokens"].max(),
                "seeds": len(losses),
                "diverged": sum(math.isinf(loss) for loss in losses),
                "val/loss": found.value,
                "± 95 %": math.nan if found.half is None else found.half,
                "val/perplexity": math.exp(found.value),
            }
        )
    return pd.DataFrame(rows)


def _figure(
    frame: pd.DataFrame,
    models: list[str],
    blocks: dict[str, int],
    finals: Finals,
    law: PowerLaw | None,
) -> Figure:
    curves = []
    colours = on_white(models)
    for colour, model in zip(colours, models, strict=True):
        rows = frame[(frame["model"] == model) & (frame["status"] == "completed")]
        by_tokens = rows.dropna(subset=[LOSS]).groupby("tokens")[LOSS]
        # The first validation, before any training, would take most of the axis.
        shown = [(float(t), v) for t, v in by_tokens if t > 0]
        low, high = [float(v.min()) for _, v in shown], [float(v.max()) for _, v in shown]
        mean = [float(v.mean()) for _, v in shown]
        curves.append(Line(model, [t for t, _ in shown], mean, colour, band=(low, high)))
    points = []
    for colour, model in zip(colours, models, strict=True):
        losses = [found[model] for found in finals.values() if model in found]
        points.append(Line("", [blocks[model]] * len(losses), losses, colour, marks=True))
    if law is not None:
        ends = [blocks[models[0]], blocks[models[-1]]]
        sizes = [ends[0] * (ends[1] / ends[0]) ** (i / 24) for i in range(25)]
        label = f"a N^-{law.exponent:.3f}" + (" + c" if law.floor else "")
        points.append(Line(label, sizes, [law(size) for size in sizes], 4, dashed=True))
    left = "mean of the seeds, band from the lowest to the highest"
    return Figure(
        "Validation loss of GPT sizes at equal tokens",
        [
            Panel(left, "tokens", "validation loss, nats", curves, perplexity=True, width=5),
            Panel("at the end", "block weights", "validation loss, nats", points, True, width=3),
        ],
    )
