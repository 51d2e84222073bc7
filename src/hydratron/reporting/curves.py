"""The logged metrics as drawable curves: few enough points, one colour and one dash per run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hydratron.reporting.differences import variants
from hydratron.reporting.records import POSITION, Run

POINTS = 400
SMOOTHED = "train/loss"
WINDOWS = 40
# How many of six colours: for any number of models those that are farthest apart.
SPREAD = ((3,), (0, 5), (0, 1, 5), (0, 1, 2, 5), (0, 1, 2, 4, 5), (0, 1, 2, 3, 4, 5))


DASHES = ("solid", "7px,4px", "2px,3px", "9px,3px,2px,3px", "14px,4px", "5px,2px")


@dataclass(frozen=True)
class Panel:
    """One chart: its metric, title and how its numbers are written (d3 formats)."""

    metric: str
    title: str
    ticks: str
    hover: str
    unit: str = ""
    log: bool = True
    """Whether the logarithmic y applies; a schedule that ends at zero has nothing to show there."""


PANELS = (
    Panel("val/loss", "Validation loss", "~g", ".4f", "nats per token"),
    Panel("train/loss", "Training loss", "~g", ".4f"),
    Panel("val/perplexity", "Validation perplexity", "~s", ".4~g"),
    Panel("lr", "Learning rate", "~g", ".3~g", log=False),
    Panel("grad_norm", "Gradient norm", "~g", ".4~g", "before clipping"),
    Panel("perf/tokens_per_second", "Throughput", "~s", ".4~s", "tokens per second"),
    Panel("perf/mfu", "Model FLOPs utilisation", ".2~%", ".2~%", "of peak"),
    Panel("perf/memory_bytes", "Memory", "~s", ".4~s", "bytes"),
    Panel("perf/data_wait", "Waiting for data", ".2~%", ".2~%", "of the time", log=False),
)


@dataclass(frozen=True)
class Style:
    """How a run is drawn; `order` counts the variants by size, `colour` in the page's palette."""

    variant: str
    order: int
    colour: int
    degree: str
    dash: int

    @property
    def pattern(self) -> str:
        """The dash as SVG and Plotly write it."""
        return DASHES[self.dash % len(DASHES)]


def styles(runs: Sequence[Run]) -> list[Style]:
    """One style per run: colours from the smallest model up, dashes from the fewest ranks up."""
    labels = variants(runs)
    blocks: dict[str, int] = {}
    for run, label in zip(runs, labels, strict=True):
        blocks[label] = max(run.blocks, blocks.get(label, 0))
    ordered = sorted(blocks, key=lambda label: (blocks[label], label))
    order = {label: i for i, label in enumerate(ordered)}
    spread = SPREAD[min(len(ordered), len(SPREAD)) - 1]
    ranks = {run.parallel: (math.prod(run.sizes), run.parallel) for run in runs}
    dashes = {label: i for i, label in enumerate(sorted(ranks, key=ranks.__getitem__))}
    return [
        Style(
            variant=label,
            order=order[label],
            colour=spread[order[label] % len(spread)],
            degree=run.parallel,
            dash=dashes[run.parallel],
        )
        for run, label in zip(runs, labels, strict=True)
    ]


def curves(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Every metric of every run that has finite values: {run, metric, step, tokens, seconds, y}.

    `run` counts in `runs`; the lists have at most 400 entries; the training loss also has
    `smooth`, its moving average.
    """
    drawn = []
    # One window for all runs: curves of different lengths stay comparable.
    window = max((len(run.rows) for run in runs), default=0) / WINDOWS
    for index, run in enumerate(runs):
        for panel in PANELS:
            rows = [row for row in run.rows if _finite(row.get(panel.metric))]
            if not rows:
                continue
            values = np.array([row[panel.metric] for row in rows], dtype=float)
            kept = decimate(values)
            curve: dict[str, Any] = {"run": index, "metric": panel.metric}
            for axis in POSITION:
                curve[axis] = [_number(rows[i].get(axis)) for i in kept]
            curve["y"] = [_number(values[i]) for i in kept]
            if panel.metric == SMOOTHED:
                averaged = smooth(values, window)
                curve["smooth"] = [_number(averaged[i]) for i in kept]
            drawn.append(curve)
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
    keep = 1 - 1 / max(1.0, window)
    averaged, total, weight = np.empty(len(values)), 0.0, 0.0
    for index, value in enumerate(values):
        total, weight = keep * total + value, keep * weight + 1
        averaged[index] = total / weight
    return averaged


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _number(value: Any) -> float | int | None:
    """Eight digits draw and compare well; more would only make the page larger."""
    if not _finite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.8g}")
