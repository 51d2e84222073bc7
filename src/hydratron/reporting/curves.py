"""The logged metrics as drawable curves, of single runs and of means over seeds: few points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from hydratron.reporting.estimate import intervals
from hydratron.reporting.metrics import PERFORMANCE, POSITION, Metric, charts
from hydratron.reporting.records import Run
from hydratron.reporting.seeds import Seeds

POINTS = 400
WINDOWS = 40
# What a page draws at once; with more curves each gets fewer points, but never below FEWEST.
BUDGET, FEWEST = 20_000, 100
DIGITS = 8


def logged(runs: Sequence[Run]) -> list[Metric]:
    """The metrics with a chart that any run logged as numbers."""
    return charts(key for run in runs for key in run.columns)


def curves(runs: Sequence[Run], seeds: Sequence[Seeds] = ()) -> list[dict[str, Any]]:
    """The charts of every run that has finite values: {run, metric, step, tokens, seconds, y}.

    `run` counts in `runs`; the lists have at most 400 entries; a smoothed metric also has
    `smooth`, its moving average. Where tokens are a whole multiple of the step, `tokens` is that
    number. Means over `seeds` follow, with `group` (counts in `seeds`) in place of `run`, and
    `low` and `high`, the ends of the 95 % interval over the seeds at each point (for a smoothed
    metric of the moving averages; none where speed and memory are measured).
    """
    # One window for all runs: curves of different lengths stay comparable.
    window = max((len(run.rows) for run in runs), default=0) / WINDOWS
    limit = max(FEWEST, min(POINTS, BUDGET // max(1, len(runs))))
    drawn, metrics = [], logged(runs)
    for index, run in enumerate(runs):
        for metric in metrics:
            found = _logged(run, metric)
            if found is None:
                continue
            position, values = found
            kept = decimate(values, limit)
            curve = {"run": index, "metric": metric.name} | _points(position, kept)
            curve["y"] = rounded(values[kept])
            if metric.smoothed:
                curve["smooth"] = rounded(smooth(values, window)[kept])
            drawn.append(curve)
    for index, group in enumerate(seeds):
        for metric in metrics:
            mean = _mean(group, metric, window, limit)
            if mean is not None:
                drawn.append({"group": index, "metric": metric.name} | mean)
    return drawn


def decimate(values: np.ndarray, limit: int = POINTS) -> list[int]:
    """Indices of at most `limit` points that keep the ends and every bucket's extremes."""
    if len(values) <= limit:
        return list(range(len(values)))
    buckets = (limit - 2) // 2
    edges = np.linspace(1, len(values) - 1, buckets + 1).astype(int)
    kept = {0, len(values) - 1}
    for start, stop in pairwise(edges.tolist()):
        inside = values[start:stop]
        kept |= {start + int(inside.argmin()), start + int(inside.argmax())}
    return sorted(kept)


def smooth(values: np.ndarray, window: float) -> np.ndarray:
    """An exponential moving average over about `window` points, without a bias at the start."""
    averaged: np.ndarray = pd.Series(values).ewm(alpha=1 / max(1.0, window)).mean().to_numpy()
    return averaged


def rounded(values: np.ndarray) -> list[float | int | None]:
    """Eight digits draw and compare well; more would only make the page larger."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
        # A power above 1e300 overflows; so small a number is drawn as zero.
        scale = 10.0 ** np.clip(DIGITS - 1 - size, -300, 300)
        short = np.round(values * scale) / scale
    whole = short == np.trunc(short)
    pairs = zip(short.tolist(), whole.tolist(), strict=True)
    return [(int(v) if w else v) if math.isfinite(v) else None for v, w in pairs]


def _logged(run: Run, metric: Metric) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
    """Where and what a run logged of a metric, finite values only; None without any."""
    values = run.columns.get(metric.name)
    known = None if values is None else np.isfinite(values)
    if values is None or known is None or not known.any():
        return None
    absent = np.full(len(values), np.nan)
    position = {axis: run.columns.get(axis, absent)[known] for axis in POSITION}
    return position, values[known] / metric.format.scale


def _points(position: dict[str, np.ndarray], kept: list[int]) -> dict[str, Any]:
    """The chosen positions on each axis."""
    points: dict[str, Any] = {axis: rounded(position[axis][kept]) for axis in POSITION}
    step, tokens = position["step"], position["tokens"]
    per_step = tokens[-1] / step[-1] if step[-1] else math.nan
    if math.isfinite(per_step) and np.array_equal(tokens, step * round(per_step)):
        points["tokens"] = round(per_step)
    return points


def _common(steps: Sequence[np.ndarray]) -> np.ndarray:
    """What is in all of them, once, in order; runs of one sweep mostly log at the same steps."""
    first, *others = steps
    if all(np.array_equal(first, other) for other in others):
        return np.unique(first)
    return reduce(np.intersect1d, steps)


def _mean(group: Seeds, metric: Metric, window: float, limit: int) -> dict[str, Any] | None:
    """Mean and interval at the steps that all usable runs of the group have logged."""
    found = [values for run in group.usable if (values := _logged(run, metric)) is not None]
    if not found or len(found) < len(group.usable):
        return None
    step = _common([position["step"] for position, _ in found])
    if not len(step):
        return None
    rows = [np.searchsorted(position["step"], step) for position, _ in found]
    series = [smooth(values, window) if metric.smoothed else values for _, values in found]
    stacked = np.stack([values[at] for values, at in zip(series, rows, strict=True)])
    mean, half = intervals(stacked)
    low, high = mean - half, mean + half
    # Half of the points for each edge of the band, so that its extremes are kept too.
    kept = sorted({*decimate(low, limit // 2), *decimate(high, limit // 2)})
    if len(step) <= limit:
        kept = list(range(len(step)))
    position = {
        axis: np.mean([p[axis][at] for (p, _), at in zip(found, rows, strict=True)], axis=0)
        for axis in POSITION
    }
    # What a seed changes is what is learned; a band of speeds would only hide them.
    band = {} if metric.panel == PERFORMANCE else {"low": low, "high": high}
    shown = {"y": mean, **band}
    return _points(position, kept) | {name: rounded(v[kept]) for name, v in shown.items()}
