"""How far loss and gradient norm at each parallel degree are from one process, step by step."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from hydratron.reporting.verdict import Claim, Verdict, below_bound
from hydratron.reproduce.collect import diverged_notes
from hydratron.reproduce.draw import number
from hydratron.reproduce.figure import Analysis, Figure, Line, Panel

SINGLE = "single"
TITLES = {"train/loss": "training loss", "grad_norm": "gradient norm"}
# Equal values would fall off a logarithmic axis.
LEAST = 1e-9


def analyze(frame: pd.DataFrame, criteria: dict[str, Any]) -> Analysis:
    """Figure, table and verdicts from one row per step of every run."""
    bound, metrics = float(criteria["bound"]), list(criteria["metrics"])
    gaps = _gaps(frame, metrics)
    verdicts = [
        _verdict(Claim.of(criteria, "tensor"), gaps, "tp", metrics, bound),
        _verdict(Claim.of(criteria, "data"), gaps, "dp", metrics, bound),
    ]
    table = gaps.groupby("parallel", sort=False)[metrics].max().add_prefix("largest ")
    table.insert(0, "steps", gaps.groupby("parallel", sort=False)["step"].nunique())
    table["within the bound"] = (table[[f"largest {m}" for m in metrics]] <= bound).all(axis=1)
    figure = _figure(gaps, metrics, bound)
    return Analysis(figure, table.reset_index(), verdicts, diverged_notes(frame))


def _gaps(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """|x - x of one process| / |x of one process| by parallel degree, seed and step.

    A value that is missing or not finite on one side is infinitely far.
    """
    keys = ["seed", "step"]
    single = frame.loc[frame["parallel"] == SINGLE, [*keys, *metrics]]
    others = frame.loc[frame["parallel"] != SINGLE, ["parallel", *keys, *metrics]]
    both = [others[others["parallel"] == degree] for degree in others["parallel"].drop_duplicates()]
    found = []
    for rows in both:
        pair = rows.merge(single, on=keys, how="outer", suffixes=("", " single")).sort_values(keys)
        for metric in metrics:
            reference = pair[f"{metric} single"]
            gap = (pair[metric] - reference).abs() / reference.abs()
            pair[metric] = gap.fillna(math.inf)
        pair["parallel"] = rows["parallel"].iloc[0]
        found.append(pair[["parallel", *keys, *metrics]])
    return pd.concat(found, ignore_index=True)


def _verdict(
    claim: Claim, gaps: pd.DataFrame, kind: str, metrics: list[str], bound: float
) -> Verdict:
    rows = gaps[gaps["parallel"].str.startswith(kind)]
    details = [
        f"{degree}, {TITLES[metric]}: at most {own[metric].max():.2g}"
        for degree, own in rows.groupby("parallel", sort=False)
        for metric in metrics
    ]
    values = [float(value) for metric in metrics for value in rows[metric]]
    return below_bound(claim, values, bound, details)


def _figure(gaps: pd.DataFrame, metrics: list[str], bound: float) -> Figure:
    panels = []
    for metric in metrics:
        lines = []
        for colour, (degree, rows) in enumerate(gaps.groupby("parallel", sort=False)):
            # The largest so far: differences of single steps hide each other.
            worst = rows.groupby("step")[metric].max().cummax().clip(lower=LEAST)
            steps = [int(step) for step in worst.index]
            values = [float(value) for value in worst]
            lines.append(Line(str(degree), steps, values, colour))
        rules = [(bound, f"bound {number(bound)}")]
        label = "largest relative difference so far"
        title = f"{TITLES[metric]} (at {number(LEAST)}: equal)"
        panels.append(Panel(title, "step", label, lines, y_log=True, rules=rules))
    return Figure("Parallel degrees against one process", panels)
