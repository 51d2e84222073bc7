"""One row per run: first what differs between the runs, then what came out of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from hydratron.reporting.differences import varying
from hydratron.reporting.formats import setting
from hydratron.reporting.records import Run

OUTCOMES = (
    "tokens",
    "seconds",
    "train/loss",
    "val/loss",
    "val/perplexity",
    "perf/tokens_per_second",
)


def by_validation_loss(runs: Sequence[Run]) -> list[Run]:
    """The lowest final validation loss first; runs without a finite one last, by name."""

    def rank(run: Run) -> tuple[float, str]:
        value = run.final("val/loss")
        return (value if value is not None and math.isfinite(value) else math.inf, run.name)

    return sorted(runs, key=rank)


def summary(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run, ordered by validation loss, values as they were logged.

    Columns: run, sweep (when there are several), the configuration keys that differ, parameters,
    tokens, seconds, the final metrics, status.
    """
    ordered = by_validation_loss(runs)
    keys = varying(ordered)
    columns: dict[str, pd.Series] = {"run": pd.Series([run.name for run in ordered])}
    if len({run.sweep for run in ordered}) > 1:
        columns["sweep"] = pd.Series([run.sweep for run in ordered])
    for key in keys:
        values = [run.settings.get(key) for run in ordered]
        columns[key] = pd.Series([_cell(v) for v in values], dtype=object)
    columns["parameters"] = pd.Series([run.parameters for run in ordered], dtype="Int64")
    for key in OUTCOMES:
        columns[key] = pd.Series([run.final(key) for run in ordered], dtype="float64")
    columns["tokens"] = columns["tokens"].astype("Int64")
    columns["status"] = pd.Series([run.status for run in ordered])
    return pd.DataFrame(columns)


def _cell(value: object) -> object:
    return setting(value) if isinstance(value, list | bool) else value
