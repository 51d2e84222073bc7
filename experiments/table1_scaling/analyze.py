"""The paper's scaling numbers beside planned steps, whose five constants are fitted to them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from hydratron.config.cluster import ClusterConfig
from hydratron.config.clusters import clusters
from hydratron.planner.calibration import CONSTANTS, predicted, rounded
from hydratron.planner.closed_form import break_even_micro_batches, bubble_share
from hydratron.planner.fitting import GIB
from hydratron.planner.published import Published, find_plan, fitted, published, sample
from hydratron.planner.time_model import step_time
from hydratron.reporting import verdict
from hydratron.reporting.verdict import Claim, Verdict
from hydratron.reproduce.collect import diverged_notes
from hydratron.reproduce.figure import Analysis

from .figures import (
    DEGREES,
    HEADS,
    LARGEST,
    MICRO_BATCHES,
    OCEAN,
    STAGES,
    TURING,
    UNSEEN,
    Find,
    memory_figure,
    scaling_figure,
    share_of,
    time_figure,
)

TP, DP = "parallel.tensor_model_parallel_size", "parallel.data_parallel_size"
SPEED, OURS = "perf/tokens_per_second", "ours"
# How a published number of each study is written.
JUDGED = {
    "tensor": "{:.0f} %",
    "data": "{:.0f} %",
    "strong": "{:.2f}",
    "heads": "{:.0f} %",
    "petaflops": "{:.1f} PFLOP/s",
    "days": "{:.2f}",
}
DAY = 86400  # seconds
# A measured job's first rows hold its warm-up.
WARM = 2
ERROR = "its error"
COLUMNS = ("study", "job", "GPUs", "quantity", "published", OURS, "error", UNSEEN, ERROR)
Cells = dict[str, Any]


def analyze(frame: pd.DataFrame, criteria: dict[str, Any]) -> Analysis:
    """Figure, table and verdicts from one row per plan and the rows of measured jobs."""
    plans: list[Any] = frame[frame["plan/seconds"].notna()].to_dict("records")
    find = functools.partial(find_plan, plans, criteria["numerics"])
    cluster = next(c for c in clusters() if c.name == criteria["cluster"])
    paper = criteria["paper"]
    rows, lacking = published(criteria["rows"], paper["baseline_tflops"], find)
    notes = diverged_notes(frame)
    if lacking:
        count = f"{len(lacking)} of {len(criteria['rows'])} published numbers are not planned"
        notes.append(f"no fit: {count}, the first: {lacking[0]}")
        rows = []
    else:
        cluster, rows = fitted(rows, cluster)
        notes += [
            _constants(cluster, rows),
            _hidden(rows, cluster),
            *_missed(rows, criteria["within"]),
        ]
    days = _days(find, criteria, cluster)
    flops = [
        _petaflops(row, paper["petaflops"])
        for row in rows
        if row.gpus == 512 and row.study == "data"
    ]
    share = share_of(find(LARGEST, STAGES, heads=HEADS), cluster) if rows else math.nan
    measured = _measured(frame)
    lines = [_line(row) for row in rows]
    table = [*lines, *flops, *days, *(_memory(find)), *measured]
    if rows:
        found = [(name, getattr(cluster, name)) for name in CONSTANTS]
        table += [_cells("constants", cluster.name, "", n, math.nan, v) for n, v in found]
        table += _pipelines(share)
        notes.append(_pipeline_note(share))
    notes += _measured_notes(measured)
    memory = memory_figure(find)
    first, more = memory, {}
    if rows:
        first = scaling_figure(rows)
        more = {"memory": memory, "time": time_figure(rows, find, cluster, share)}
    return Analysis(
        first,
        pd.DataFrame(table, columns=list(COLUMNS)),
        _verdicts([*lines[1:], *flops, *days], criteria),
        notes,
        more,
    )


def _cells(*values: Any) -> Cells:
    """A row of the table; what is not given is empty."""
    return dict(zip(COLUMNS, values, strict=False))


def _line(row: Published) -> Cells:
    both = [value for pair in zip(row.predictions, row.errors, strict=True) for value in pair]
    return _cells(row.study, row.job, row.gpus, row.quantity, row.value, *both)


def _petaflops(row: Published, paper: float) -> Cells:
    found = [row.gpus * row.flops / seconds / 1e15 for seconds in (row.fitted, row.other)]
    both = [value for one in found for value in (one, one / paper - 1)]
    return _cells("petaflops", row.job, row.gpus, "PFLOP/s", paper, *both)


def _days(find: Find, criteria: dict[str, Any], cluster: ClusterConfig) -> list[Cells]:
    """Days per epoch of Table 2's models by the cluster's constants, none of which saw them."""
    found = []
    for entry in criteria["days"]:
        plan = find(entry["model"], entry["tp"], entry["dp"], heads=entry["heads"])
        if plan is not None:
            own = sample(plan, overlapped=entry["overlap"])
            steps = criteria["paper"]["iterations_per_epoch"]
            value, job = predicted(own, cluster) * steps / DAY, own.parallel
            who = ("days", f"{entry['model']} {job.label}", job.world_size, "days per epoch")
            error = value / entry["days"] - 1
            found.append(_cells(*who, entry["days"], math.nan, math.nan, value, error))
    return found


def _memory(find: Find) -> list[Cells]:
    """GiB of one rank at its highest point."""
    wanted = [(LARGEST, tp, 1, other) for other in (None, OURS) for tp in DEGREES]
    wanted += [(model, 1, 1, None) for model in OCEAN if model != LARGEST]
    found = []
    for model, tp, dp, other in [*wanted, (TURING, 4, 64, None)]:
        plan = find(model, tp, dp, numerics=other)
        if plan is not None:
            quantity = f"GiB of a rank, {plan['plan.numerics']}"
            label, peak = sample(plan).parallel.label, plan["plan/peak_bytes"] / GIB
            found.append(_cells("memory", f"{model} {label}", tp * dp, quantity, math.nan, peak))
    return found


def _measured(frame: pd.DataFrame) -> list[Cells]:
    """Tokens per second here, the median over a job's rows, and its ratio to one process."""
    rows = frame[frame[SPEED].notna()]
    speeds = {label: own[SPEED].iloc[WARM:].median() for label, own in rows.groupby("parallel")}
    found = []
    for label, own in rows.groupby("parallel", sort=False):
        job, ranks = f"{own['model'].iloc[0]} {label}", int(own[TP].iloc[0] * own[DP].iloc[0])
        ratio = speeds[label] / speeds.get("single", math.nan)
        for quantity, value in (("tokens/s", speeds[label]), ("speedup", ratio)):
            found.append(_cells("measured here", job, ranks, quantity, math.nan, float(value)))
    return found


def _constants(cluster: ClusterConfig, rows: Sequence[Published]) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in rounded(cluster).items())
    return f"{len(CONSTANTS)} constants fitted to {len(rows)} numbers, not measured: {values}"


def _hidden(rows: Sequence[Published], cluster: ClusterConfig) -> str:
    """How long the all-reduces that are taken as hidden would be."""
    times = [step_time(r.sample.terms, r.sample.parallel, cluster) for r in rows]
    share = max(t.data / (t.total - t.data) for t in times)
    return (
        f"the data group's all-reduces, taken as hidden behind the backward, are at these "
        f"constants at most {share:.0%} of the rest of a step"
    )


def _missed(rows: Sequence[Published], within: float) -> list[str]:
    """One line for each number that either fit misses by more than the criterion allows."""
    return [
        f"missed: {row.job} on {row.gpus} GPUs: published {row.quantity} {row.value:g}, fitted "
        f"{row.predictions[0]:.3g} ({row.errors[0]:+.1%}), by the other rows "
        f"{row.predictions[1]:.3g} ({row.errors[1]:+.1%})"
        for row in rows
        if max(map(abs, row.errors)) > within
    ]


def _measured_notes(measured: Sequence[Cells]) -> list[str]:
    texts = [f"{m['job']} {m['ours']:.4g} {m['quantity']}" for m in measured]
    return [f"measured here, one thread a rank: {', '.join(texts)}"] if texts else []


def _pipelines(share: float) -> list[Cells]:
    """What a GPipe of as many stages idles, beside the share of tensor parallelism."""
    job = f"{LARGEST} tp{STAGES}"
    found = [_cells("pipeline", job, STAGES, "all-reduces, share of a step", math.nan, share)]
    for m in MICRO_BATCHES:
        cells = (LARGEST, STAGES, f"bubble at {m} micro-batches", math.nan, bubble_share(STAGES, m))
        found.append(_cells("pipeline", *cells))
    even = break_even_micro_batches(STAGES, share)
    return [*found, _cells("pipeline", LARGEST, STAGES, "break-even m", math.nan, even)]


def _pipeline_note(share: float) -> str:
    even, least = break_even_micro_batches(STAGES, share), MICRO_BATCHES[0]
    return (
        f"8.3 B on {STAGES} GPUs: all-reduces take {share:.1%} of a step at tp {STAGES}; a GPipe "
        f"of {STAGES} stages idles as much at {even:.0f} micro-batches, and "
        f"{bubble_share(STAGES, least):.0%} at {least}, the sequences that a replica of the paper "
        "has (its own sends not counted)"
    )


def _verdicts(cells: Sequence[Cells], criteria: dict[str, Any]) -> list[Verdict]:
    """All by fits that did not see the number; the baseline, which is the unit, is not judged."""
    found = []
    for name, form in JUDGED.items():
        own = [c for c in cells if c["study"] == name]
        details = [f"{c['job']}: {c['published']:g}, predicted {c[UNSEEN]:.3g}" for c in own]
        bound = criteria.get(f"within_{name}", criteria["within"])
        errors = [c[ERROR] for c in own]
        judged = verdict.predicted(Claim.of(criteria, name), errors, bound, details)
        scale = 100 if form.endswith("%") else 1
        ours = ", ".join(form.format(scale * c[UNSEEN]) for c in own)
        found.append(replace(judged, ours=ours))
    return found
