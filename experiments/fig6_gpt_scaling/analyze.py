"""Validation loss against tokens for several sizes, seeds as bands, and what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pandas as pd

from hydratron.reporting.crossing import first_crossing
from hydratron.reporting.estimate import estimate
from hydratron.reporting.palette import on_white
from hydratron.reporting.power_law import PowerLaw, power_law
from hydratron.reporting.verdict import (
    SEEDS,
    Claim,
    Status,
    Verdict,
    direction,
    weakest,
)
from hydratron.reproduce.collect import diverged_notes
from hydratron.reproduce.figure import Analysis, Figure, Line, Panel
from hydratron.reproduce.results import effect_text

LOSS = "val/loss"
BAND = "mean of the seeds, band from the lowest to the highest"
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
    return Analysis(
        figure,
        _table(frame, models, blocks, finals),
        verdicts,
        diverged_notes(frame),
        {"compute": _by_compute(frame, models)},
    )


def _finals(frame: pd.DataFrame) -> Finals:
    """Final loss by seed and model; infinity for a run that diverged."""
    found: Finals = {}
    for (seed, model, status), rows in frame.groupby(["seed", "model", "status"], sort=True):
        loss = math.inf if status == "diverged" else float(rows[LOSS].iloc[-1])
        found.setdefault(int(seed), {})[str(model)] = loss
    return found


def _order(claim: Claim, models: list[str], finals: Finals) -> Verdict:
    """Every step in size, of the seeds that have both: the least sure decides."""
    gaps = {
        f"{smaller} - {larger}": {
            seed: _gap(losses[smaller], losses[larger])
            for seed, losses in finals.items()
            if smaller in losses and larger in losses
        }
        for smaller, larger in pairwise(models)
    }
    verdict = weakest(claim, gaps)
    means = [[found[m] for found in finals.values() if m in found] for m in models]
    ours = ", ".join(f"{math.exp(estimate(losses).value):.1f}" for losses in means)
    said = effect_text(verdict.effect or math.nan, claim.unit, verdict.interval, verdict.n)
    return replace(verdict, ours=f"{', '.join(models)} end at {ours}; least gap {said}")


def _gap(smaller: float, larger: float) -> float:
    """A run that diverged counts against the claim, whichever it was."""
    return smaller - larger if math.isfinite(smaller) and math.isfinite(larger) else -math.inf


def _faster(claim: Claim, models: list[str], finals: Finals, frame: pd.DataFrame) -> Verdict:
    """The share of the smallest size's tokens that each larger one needs less for its loss."""
    shares: dict[str, dict[int, float]] = {}
    for seed, losses in finals.items():
        target = losses.get(models[0], math.inf)
        rows = frame[frame["seed"] == seed]
        total = float(rows.loc[rows["model"] == models[0], "tokens"].max())
        for model in (m for m in models[1:] if m in losses):
            curve = rows[rows["model"] == model].dropna(subset=[LOSS])
            tokens, values = (curve[key].to_numpy(float) for key in ("tokens", LOSS))
            at = first_crossing(tokens, values, target)
            reached = at is not None and math.isfinite(target)
            shares.setdefault(model, {})[seed] = 1 - at / total if reached else -math.inf
    return weakest(claim, shares)


def _law(models: list[str], blocks: dict[str, int], finals: Finals) -> PowerLaw | None:
    """Through all runs that have a finite loss; None with less than two sizes."""
    points = [
        (blocks[model], loss)
        for losses in finals.values()
        for model, loss in losses.items()
        if math.isfinite(loss)
    ]
    if len({size for size, _ in points}) < 2:
        return None
    return power_law([size for size, _ in points], [loss for _, loss in points])


def _exponent(criteria: dict[str, Any], law: PowerLaw | None, seeds: int) -> list[Verdict]:
    """Whether a power law describes the sizes at all; nothing where no fit is possible."""
    if law is None:
        return []
    form = f"L = {law.scale:.3g} N^-{law.exponent:.3g}"
    form += f" + {law.floor:.3g}" if law.floor else ""
    details = [f"{form}, off by at most {law.residual:.3f} nats"]
    if not math.isnan(law.floor_p):
        details.append(f"with a floor against without: p = {law.floor_p:.2g}")
    if not math.isnan(law.lack_p):
        how = "no more" if law.fits else "more"
        details.append(
            f"the sizes depart from it {how} than seeds do from each other: p = {law.lack_p:.2g}"
        )
    # Runs of too few seeds are too few, however many they are.
    spread = law.spread if seeds >= SEEDS else replace(law.spread, n=seeds)
    found = direction(Claim.of(criteria, "law"), spread, details)
    if found.status == Status.REPRODUCED and not law.fits:
        found = replace(found, status=Status.NOT_REPRODUCED)
    return [found]


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
    colours = on_white(models)
    curves = [
        _curve(frame, model, colour, lambda tokens: tokens)
        for colour, model in zip(colours, models, strict=True)
    ]
    points = []
    for colour, model in zip(colours, models, strict=True):
        losses = [found[model] for found in finals.values() if model in found]
        points.append(Line("", [blocks[model]] * len(losses), losses, colour, marks=True))
    if law is not None:
        ends = [blocks[models[0]], blocks[models[-1]]]
        sizes = [ends[0] * (ends[1] / ends[0]) ** (i / 24) for i in range(25)]
        label = f"a N^-{law.exponent:.3f}" + (" + c" if law.floor else "")
        points.append(Line(label, sizes, [law(size) for size in sizes], 4, dashed=True))
    return Figure(
        "Validation loss of GPT sizes at equal tokens",
        [
            Panel(BAND, "tokens", "validation loss, nats", curves, perplexity=True, width=5),
            Panel("at the end", "block weights", "validation loss, nats", points, True, width=3),
        ],
    )


def _by_compute(frame: pd.DataFrame, models: list[str]) -> Figure:
    """The same curves by what they cost: a small model that trains for longer is a rival too."""
    lines = []
    for colour, model in zip(on_white(models), models, strict=True):
        # The word embeddings count, since they are the logits' weights as well.
        weights = int(frame.loc[frame["model"] == model, "parameters"].iloc[0])
        lines.append(_curve(frame, model, colour, lambda tokens, n=weights: 6e-12 * n * tokens))
    label = "TFLOP of training: 6 x parameters x tokens"
    panel = Panel(BAND, label, "validation loss, nats", lines, x_log=True, perplexity=True)
    return Figure("Validation loss of GPT sizes at equal compute", [panel])


def _curve(frame: pd.DataFrame, model: str, colour: str, along: Callable[[float], float]) -> Line:
    """Mean loss of the completed runs, placed by `along(tokens)`, with their band."""
    rows = frame[(frame["model"] == model) & (frame["status"] == "completed")]
    by_tokens = rows.dropna(subset=[LOSS]).groupby("tokens")[LOSS]
    # The first validation, before any training, would take most of the axis.
    shown = [(float(t), v) for t, v in by_tokens if t > 0]
    low, high = [float(v.min()) for _, v in shown], [float(v.max()) for _, v in shown]
    mean = [float(v.mean()) for _, v in shown]
    return Line(model, [along(t) for t, _ in shown], mean, colour, band=(low, high))
