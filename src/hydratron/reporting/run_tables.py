"""The page's tables: of runs, and of means over seeds, with the loss whose tokens they count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from html import escape

from hydratron.reporting.colours import Legends
from hydratron.reporting.crossing import default_target
from hydratron.reporting.differences import short_columns
from hydratron.reporting.ensembles import ensemble_notes
from hydratron.reporting.evaluations import evaluation_notes
from hydratron.reporting.formats import MISSING, count, loss
from hydratron.reporting.grid import Cell, Column, Grid
from hydratron.reporting.means import means, target_column
from hydratron.reporting.ranking import best_first, rank, ranked_by
from hydratron.reporting.records import BROKEN, Run
from hydratron.reporting.seeds import Seeds
from hydratron.reporting.tables import outcomes, tokens_reached

FILTER = (
    '<label class="choice">filter<input class="filter" type="search"'
    ' placeholder="words" size="14"></label>'
)
FILES = (
    '<p class="files">CSV: <a href="summary.csv" download>this table</a>'
    ' <a href="curves.csv" download>all logged values</a></p>'
)
RULE = (
    "Tokens to a loss: where the validation loss first is at it, straight between two validations."
    " The loss that the page begins with is the best final loss of the smallest model: it says how"
    " much less the others needed."
)


def mean_section(runs: Sequence[Run], groups: Sequence[Seeds], drawn: Legends) -> str:
    """The means over seeds; empty without groups."""
    if not groups:
        return ""
    table = means(runs, groups, lambda run: swatch(drawn, run)).html()
    return (
        '<section id="means"><div class="heading"><h2>Means over seeds, with 95 % intervals</h2>'
        f"{FILTER}</div>{table}"
        '<p class="note">Final values of the completed runs; the interval is Student\'s t over '
        "the n seeds, in the charts too.</p></section>"
    )


def run_section(runs: Sequence[Run], drawn: Legends) -> str:
    """All runs, the choice of the loss whose tokens are counted, and the files of the report."""
    target = default_target(runs)
    choice = note = ""
    if target is not None:
        choice = (
            '<label class="choice">tokens to loss<input id="target" type="number" step="any"'
            f' value="{loss(target)}" size="8"></label>'
        )
        note = f'<p class="note">{RULE}</p>'
    notes = (*evaluation_notes(runs), *ensemble_notes(runs))
    note += "".join(f'<p class="note">{escape(text)}</p>' for text in notes)
    return (
        f'<section id="runs"><div class="heading"><h2>Runs</h2>{FILTER}{choice}{FILES}</div>'
        f"{run_grid(runs, drawn).html()}{note}</section>"
    )


def run_grid(runs: Sequence[Run], drawn: Legends) -> Grid:
    """One row per run, the best first and in bold.

    Weights and tokens that all runs share are among the facts of the page and not in a column.
    """
    place = {run.folder: index for index, run in enumerate(runs)}
    ordered = best_first(runs)
    columns = {Column("run"): [_name(run, swatch(drawn, place[run.folder])) for run in ordered]}
    told = short_columns(ordered)
    columns |= {Column(title): [*map(Cell, texts)] for title, texts in told.items()}
    if "params" not in common(runs):
        params = [Cell(count(run.parameters), run.parameters) for run in ordered]
        columns[Column("params", number=True)] = params
    by = ranked_by(runs)
    for metric in outcomes(ordered):
        if metric.column not in common(runs):
            values = [run.final(metric.name) for run in ordered]
            cells = [Cell(metric.format.text(value), value) for value in values]
            if metric is by and rank(values[0], by) < math.inf:
                cells[0] = replace(cells[0], kind="best")
            columns[Column(metric.column, number=True)] = cells
    target = default_target(runs)
    if target is not None:
        columns[target_column(target)] = [
            _reached(run, target, place[run.folder]) for run in ordered
        ]
    columns[Column("status")] = [Cell(run.status, kind=_kind(run)) for run in ordered]
    return Grid([*columns], [*zip(*columns.values(), strict=True)])


def common(runs: Sequence[Run]) -> dict[str, str]:
    """Weights and tokens, where there are several runs and all have the same."""
    found = {
        "params": {count(run.parameters) for run in runs},
        "tokens": {count(run.final("tokens")) for run in runs},
    }
    if len(runs) < 2:
        return {}
    return {title: min(texts) for title, texts in found.items() if len(texts) == 1}


def swatch(drawn: Legends, run: int) -> str:
    """A sample of the run's line; the script gives it its dash, and another colour on demand."""
    legend = drawn.of(drawn.colour)
    colour = legend.colours[legend.of[run]] if legend else "currentcolor"
    return (
        f'<svg class="swatch" data-run="{run}" style="--line: {colour}" viewBox="0 0 30 10"'
        ' aria-hidden="true"><line x1="0" y1="5" x2="30" y2="5"/></svg>'
    )


def _name(run: Run, line: str) -> Cell:
    return Cell(run.name, kind="name", before=line)


def _reached(run: Run, target: float, place: int) -> Cell:
    reached = tokens_reached(run, target)
    if isinstance(reached, int):
        return Cell(count(reached), reached, runs=(place,))
    return Cell(reached or MISSING, runs=(place,))


def _kind(run: Run) -> str:
    if run.status in BROKEN:
        return "bad"
    return "" if run.status == "completed" else "soft"
