"""The plans of a sweep side by side: on the terminal, and as plans.csv with every digit."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hydratron.job import read_json, write_text
from hydratron.reporting.differences import short_columns, varying
from hydratron.reporting.formats import cell, count
from hydratron.reporting.records import Run, read_run

FILE = "plans.csv"
GIB = 2**30
CLUSTER = "cluster.name"
# Of a plan: the column of plans.csv, its title on the terminal, and how it is shown there.
COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "ranks": ("ranks", "{:,}".format),
    "rank_parameters": ("params", count),
    "peak_bytes": ("GiB", lambda value: f"{value / GIB:,.2f}"),
    "fits": ("fits", lambda value: "yes" if value else "no"),
    "step_seconds": ("s/step", "{:.3g}".format),
    "tokens_per_second": ("tok/s", "{:,.0f}".format),
    "tokens_per_second_and_rank": ("per rank", "{:,.0f}".format),
    "tensor_share": ("tensor", "{:.1%}".format),
}


def compare(folder: Path, jobs: Sequence[Path], console: Console) -> None:
    """Show the finished plans in `jobs` and write the table; nothing where there is one at most."""
    read = [(read_run(job), read_json(job / "plan.json")) for job in jobs]
    made = [(run, plan) for run, plan in read if plan is not None and run.status == "completed"]
    if len(made) < 2:
        return
    runs = [run for run, _ in made]
    values = [_values(plan) for _, plan in made]
    console.print(_table(runs, values))
    write_text(folder / FILE, _csv(runs, values))
    console.print(str(folder / FILE), highlight=False, soft_wrap=True)


def _values(plan: dict[str, Any]) -> dict[str, Any]:
    config = plan["config"]
    tokens = config["trainer"]["global_batch_size"] * config["model"]["seq_length"]
    speed = tokens / plan["seconds"]["total"]
    return {
        "ranks": plan["world_size"],
        "rank_parameters": plan["parameters"]["rank"],
        "peak_bytes": plan["memory"]["total"],
        "fits": plan["fits"][config["cluster"]["gpu"]],
        "step_seconds": plan["seconds"]["total"],
        "tokens_per_second": speed,
        "tokens_per_second_and_rank": speed / plan["world_size"],
        "tensor_share": plan["seconds"]["tensor_share"],
    }


def _table(runs: Sequence[Run], values: Sequence[dict[str, Any]]) -> Table:
    """What differs first."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, title="The plans side by side")
    table.caption = (
        "of a rank: params, GiB at its peak, whether that fits the plan's GPU; "
        "tensor: the tensor group's share of the seconds"
    )
    differing = short_columns(runs, _named(runs))
    for title in differing:
        table.add_column("cluster" if title == "name" else title, overflow="fold")
    for title, _ in COLUMNS.values():
        table.add_column(title, justify="right", overflow="fold")
    for place, row in enumerate(values):
        told = [column[place] for column in differing.values()]
        table.add_row(*told, *(COLUMNS[key][1](value) for key, value in row.items()))
    return table


def _named(runs: Sequence[Run]) -> frozenset[str]:
    """The options of a cluster, where its name alone tells them apart."""
    keys = [key for key in runs[0].settings if key.startswith("cluster.") and key != CLUSTER]
    clusters = {tuple(run.texts[key] for key in (CLUSTER, *keys)) for run in runs}
    alone = len(clusters) == len({run.texts[CLUSTER] for run in runs})
    return frozenset(keys if alone else ())


def _csv(runs: Sequence[Run], values: Sequence[dict[str, Any]]) -> str:
    """One line a plan: its name, the options that differ by their full keys, what was planned."""
    keys, text = varying(runs), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", *keys, *COLUMNS])
    for run, row in zip(runs, values, strict=True):
        writer.writerow([run.name, *(cell(run.settings.get(key)) for key in keys), *row.values()])
    return text.getvalue()
