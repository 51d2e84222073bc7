"""The validation losses of runs as lines of unicode blocks, comparable with each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hydratron.reporting.metrics import RANKED
from hydratron.reporting.records import Run

BLOCKS = "▁▂▃▄▅▆▇█"
LENGTH = 20
# The first losses are far above all that follows and would flatten it.
QUANTILE = 0.9


def sparklines(runs: Sequence[Run], length: int = LENGTH) -> list[str]:
    """One line per run, up to `length` blocks; a run that ended early has a shorter one.

    All share their scale: low is the least loss of any run; high is what nine of ten losses are
    below, and losses above it are drawn as it. Empty for a run without validation losses.
    """
    curves = [_curve(run) for run in runs]
    values = np.concatenate([y for _, y in curves] or [np.array([])])
    if not len(values):
        return [""] * len(runs)
    low, high = values.min(), np.quantile(values, QUANTILE)
    last = max(float(x.max()) for x, _ in curves if len(x)) or 1.0
    return [_line(x, y, low, high, last, length) for x, y in curves]


def _curve(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and finite validation losses."""
    none = np.array([])
    x, y = run.columns.get("tokens", none), run.columns.get(RANKED, none)
    if not len(x) or not len(y):
        return none, none
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known]


def _line(x: np.ndarray, y: np.ndarray, low: float, high: float, last: float, length: int) -> str:
    if not len(x):
        return ""
    count = max(1, round(length * float(x[-1]) / last))
    seen = np.interp(np.linspace(x[0], x[-1], count), x, y)
    share = np.clip((seen - low) / (high - low), 0, 1) if high > low else np.zeros(count)
    return "".join(BLOCKS[round(float(s) * (len(BLOCKS) - 1))] for s in share)
