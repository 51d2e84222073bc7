"""The runs of a sweep and its findings on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from hydratron.reporting import ReportPaths
from hydratron.reporting.differences import short_columns
from hydratron.reporting.ensembles import ensemble_notes
from hydratron.reporting.evaluations import evaluation_notes
from hydratron.reporting.findings import SHOWN, findings
from hydratron.reporting.formats import count
from hydratron.reporting.means import means
from hydratron.reporting.ranking import best_first
from hydratron.reporting.records import Run
from hydratron.reporting.seeds import Seeds, seed_groups
from hydratron.reporting.sparkline import sparklines
from hydratron.reporting.tables import outcomes

WIDE, PIPED = 90, 1000
STYLES = {"completed": "green", "failed": "bold red", "diverged": "bold red"}


def table(runs: Sequence[Run], width: int, *, sparks: bool = False) -> Table:
    """One row per run, the best first; closer columns on a narrow terminal.

    With `sparks` a last column shows the validation losses over tokens, all on one scale.
    """
    ordered = best_first(runs)
    columns = short_columns(ordered)
    rows = list(zip(*columns.values(), strict=True))
    if len(set(rows)) < len(ordered):
        columns = {"run": [run.name for run in ordered]} | columns
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0) if width >= WIDE else 0)
    for title in columns:
        shown.add_column(Text(title), overflow="fold")
    final = outcomes(ordered)
    for title in ("params", *(metric.column for metric in final)):
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("status")
    if sparks:
        shown.add_column("val loss over tokens", no_wrap=True)
        lines = sparklines(ordered)
    for index, run in enumerate(ordered):
        differing = [Text(texts[index]) for texts in columns.values()]
        values = (metric.format.text(run.final(metric.name)) for metric in final)
        status = Text(run.status, style=STYLES.get(run.status, "yellow"))
        line = [lines[index]] if sparks else []
        shown.add_row(*differing, count(run.parameters), *values, status, *line)
    return shown


def mean_table(runs: Sequence[Run], groups: Sequence[Seeds]) -> Table:
    """The page's table of means over seeds; narrower by what a page has room for."""
    grid = means(runs, groups)
    shown = Table(
        box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title_justify="left",
        title="means over seeds, with 95 % intervals (Student's t)", title_style="",
    )  # fmt: skip
    for column in grid.columns:
        align: JustifyMethod = "right" if column.number else "left"
        shown.add_column(Text(column.title), justify=align, overflow="fold")
    for row in grid.rows:
        shown.add_row(*(Text(cell.text) for cell in row))
    return shown


def show(runs: Sequence[Run], paths: ReportPaths) -> None:
    """Table, causes of failures, findings, and last the paths of the report, on stdout."""
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        # A pipe has no width to keep to; rich would squeeze the columns into 80.
        console.width = PIPED
    wide = table(runs, console.width, sparks=True)
    # Measured with room: within the console's own width everything can be squeezed to fit.
    room = console.options.update(max_width=PIPED)
    needed = console.measure(wide, options=room).maximum
    fits = console.is_terminal and needed <= console.width
    unicode = console.encoding.startswith("utf")
    console.print(wide if fits and unicode else table(runs, console.width))
    console.print()
    if groups := seed_groups(runs):
        console.print(mean_table(runs, groups))
        console.print()
    for note in (*evaluation_notes(runs), *ensemble_notes(runs)):
        console.print(Text(note), soft_wrap=True)
    for run in runs:
        if run.cause is not None:
            console.print(Text(f"{run.name} {run.status}: {run.cause}"), soft_wrap=True)
    found = findings(runs)
    for finding in found[:SHOWN]:
        style = {True: "green", False: "bold red", None: ""}[finding.holds]
        console.print(Text(finding.sentence(), style=style), soft_wrap=True)
    if len(found) > SHOWN:
        console.print(f"{len(found) - SHOWN} more findings on the page")
    print(*paths, sep="\n")
