"""All that was logged as one data frame, with a column for whatever differs between the jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hydratron.reporting.differences import varying
from hydratron.reporting.formats import setting
from hydratron.reporting.metrics import COLUMNS
from hydratron.reporting.records import Run

IDENTITY: dict[str, Callable[[Run], Any]] = {
    "run": lambda run: run.name,
    "sweep": lambda run: run.sweep,
    "status": lambda run: run.status,
    "model": lambda run: run.model,
    "parallel": lambda run: run.parallel,
    "seed": lambda run: run.seed,
}


def tidy(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per logged row, the runs in the order given; a run that logged nothing has none.

    Columns: what names the run, the options that differ by their full keys (`optim.lr`; a list is
    written as it is typed), then the metrics.  A metric with the name of an option takes its place.
    """
    lengths = [len(run.rows) for run in runs]
    told = {name: [of(run) for run in runs] for name, of in IDENTITY.items()}
    for key in varying(runs):
        told.setdefault(key, [_plain(run.settings.get(key)) for run in runs])
    data = {name: np.repeat(_objects(values), lengths) for name, values in told.items()}
    for key in dict.fromkeys([*COLUMNS, *(key for run in runs for key in run.keys)]):
        parts = [_column(run, key) for run in runs]
        data[key] = np.concatenate(parts) if parts else np.array([])
    return pd.DataFrame(data).infer_objects()


def _plain(value: Any) -> Any:
    """A value that can be grouped by."""
    return setting(value) if isinstance(value, list) else value


def _objects(values: Sequence[Any]) -> np.ndarray:
    return np.array(values, dtype=object)


def _column(run: Run, key: str) -> np.ndarray:
    """One value per row: floats, or whatever was logged where it is no number."""
    if key in run.columns or key not in run.keys:
        return run.columns.get(key, np.full(len(run.rows), np.nan))
    return np.array([row.get(key) for row in run.rows], dtype=object)
