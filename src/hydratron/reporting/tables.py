"""One row per run: first what differs between the runs, then what came out of them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from hydratron.reporting.crossing import default_target, tokens_to_loss
from hydratron.reporting.differences import varying
from hydratron.reporting.formats import cell
from hydratron.reporting.metrics import (
    METRICS,
    OTHER,
    POSITION,
    RANKED,
    Metric,
    by_harness,
    metrics,
)
from hydratron.reporting.ranking import best_first
from hydratron.reporting.records import Run

NOT_REACHED = "not reached"


def outcomes(runs: Sequence[Run]) -> list[Metric]:
    """The metrics with a column in tables of runs, as far as any of these has a value of it.

    Position, a task's own, the losses and the rest.
    """
    known = [m for m in METRICS if m.column and any(run.final(m.name) is not None for run in runs)]
    scored = dict.fromkeys(key for run in runs for key in sorted(run.evaluated))
    known.sort(key=lambda row: (row.name not in POSITION, not row.first))
    return [*known, *(row for row in map(by_harness, scored) if row is not None)]


def results(runs: Sequence[Run]) -> list[Metric]:
    """What a run came out with: `outcomes`, then whatever was logged without a row of its own."""
    logged = metrics(key for run in runs for key in run.columns)
    return [*outcomes(runs), *(metric for metric in logged if metric.panel == OTHER)]


def summary(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run, the best first, values as they were logged.

    Columns: run, sweep (when there are several), the configuration keys that differ, parameters,
    the final metrics that any run has (those without a row of their own last), `tokens_to_loss`
    (the tokens at which the validation loss first was at `target_loss`, or "not reached"; empty for
    a run without one), `target_loss` (both only where `default_target` knows a target), status.
    """
    ordered = best_first(runs)
    keys = varying(ordered)
    columns: dict[str, pd.Series] = {"run": pd.Series([run.name for run in ordered])}
    if len({run.sweep for run in ordered}) > 1:
        columns["sweep"] = pd.Series([run.sweep for run in ordered])
    for key in keys:
        values = [run.settings.get(key) for run in ordered]
        columns[key] = pd.Series([cell(v) for v in values], dtype=object)
    columns["parameters"] = pd.Series([run.parameters for run in ordered], dtype="Int64")
    for key in (metric.name for metric in results(runs)):
        kind = "Int64" if key == "tokens" else "float64"
        columns[key] = pd.Series([run.final(key) for run in ordered], dtype=kind)
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
    return NOT_REACHED if RANKED in run.columns else None
