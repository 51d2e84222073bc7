"""What runs are compared by: their validation loss, or what a fine-tuning is judged by."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hydratron.reporting.metrics import METRICS, RANKED, ROWS, Metric
from hydratron.reporting.records import Run


def ranked_by(runs: Sequence[Run]) -> Metric:
    """The first metric of a task that all completed runs have; without one, the validation loss.

    Fine-tuning gains in accuracy long after its validation loss has begun to rise.
    """
    ended = [run for run in runs if run.status == "completed"]
    own = (row for row in METRICS if row.first)
    common = (row for row in own if all(run.final(row.name) is not None for run in ended))
    return next(common, ROWS[RANKED]) if ended else ROWS[RANKED]


def rank(value: float | None, by: Metric) -> float:
    """Sorts values from the best on; none and what is not finite last."""
    if value is None or not math.isfinite(value):
        return math.inf
    return value if by.lower_is_better else -value


def best_first(runs: Sequence[Run]) -> list[Run]:
    """The best final value first; runs without a finite one last, by name."""
    by = ranked_by(runs)
    return sorted(runs, key=lambda run: (rank(run.final(by.name), by), run.name))
