"""One row per run: first what differs between the runs, then what came out of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from hydratron.reporting.crossing import REACHED_BY, default_target, tokens_to_loss
from hydratron.reporting.differences import varying
from hydratron.reporting.formats import cell
from hydratron.reporting.records import Run

OUTCOMES = (
    "tokens",
    "seconds",
    "train/loss",
    "val/loss",
    "val/perplexity",
    "perf/tokens_per_second",
)

NOT_REACHED = "not reached"


def by_validation_loss(runs: Sequence[Run]) -> list[Run]:
    """The lowest final validation loss first; runs without a finite one last, by name."""

    def rank(run: Run) -> tuple[float, str]:
        value = run.final("val/loss")
        return (value if value is not None and math.isfinite(value) else math.inf, run.name)

    return sorted(runs, key=rank)


def summary(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run, ordered by validation loss, values as they were logged.

    Columns: run, sweep (when there are several), the configuration keys that differ, parameters,
    tokens, seconds, the final metrics, `tokens_to_loss` (the tokens at which the validation loss
    first was at `target_loss`, or "not reached"; empty for a run without one), `target_loss`
    (both only where `default_target` knows a target), status.
    """
    ordered = by_validation_loss(runs)
    keys = varying(ordered)
    columns: dict[str, pd.Series] = {"run": pd.Series([run.name for run in ordered])}
    if len({run.sweep for run in ordered}) > 1:
        columns["sweep"] = pd.Series([run.sweep for run in ordered])
    for key in keys:
        values = [run.settings.get(key) for run in ordered]
        columns[key] = pd.Series([cell(v) for v in values], dtype=object)
    columns["parameters"] = pd.Series([run.parameters for run in ordered], dtype="Int64")
    for key in OUTCOMES:
        columns[key] = pd.Series([run.final(key) for run in ordered], dtype="float64")
    columns["tokens"] = columns["tokens"].astype("Int64")
    target = default_target(ordered)
    if target is not None:
        reached = [tokens_reached(run, target) for run in ordered]
        columns["tokens_to_loss"] = pd.Series(reached, dtype=object)
        columns["target_loss"] = pd.Series([target] * len(ordered), dtype="float64")
    columns["status"] = pd.Series([run.status for run in ordered])
    return pd.DataFrame(columns)


def tokens_reached(run: Run, target: float) -> int | str | None:
    """The tokens to the target, rounded; "not reached"; None for a run without validation loss."""
    found = tokens_to_loss(run, target)
    if found is not None:
        return round(found)
    return NOT_REACHED if REACHED_BY in run.columns else None
