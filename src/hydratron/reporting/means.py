"""What a configuration is worth: means over seeds with their intervals, for page and terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from hydratron.reporting.crossing import default_target, tokens_to_loss
from hydratron.reporting.differences import SEED, short_columns
from hydratron.reporting.estimate import estimate
from hydratron.reporting.formats import MISSING, count, loss
from hydratron.reporting.grid import Cell, Column, Grid
from hydratron.reporting.metrics import POSITION, Metric
from hydratron.reporting.ranking import rank, ranked_by
from hydratron.reporting.records import Run
from hydratron.reporting.seeds import Seeds, interval
from hydratron.reporting.tables import outcomes


def means(
    runs: Sequence[Run], groups: Sequence[Seeds], swatch: Callable[[int], str] = lambda run: ""
) -> Grid:
    """One row per group, the best mean first; none without groups.

    `swatch` is a sample of the line of a run, by its place in `runs`.
    """
    place = {run.folder: index for index, run in enumerate(runs)}
    target = default_target(runs)
    by = ranked_by(runs)
    ordered = sorted(groups, key=lambda g: (rank(g.estimate(by.name).value, by), g.label))
    firsts = [group.runs[0] for group in ordered]
    named = short_columns(firsts, SEED) or {"model": [run.model for run in firsts]}
    final = [metric for metric in outcomes(runs) if metric.name not in POSITION]
    columns = [Column(title) for title in named]
    columns += [Column("n", number=True)]
    columns += [Column(metric.column, number=True) for metric in final]
    columns += [target_column(target)] if target is not None else []
    rows = []
    for index, group in enumerate(ordered):
        cells = [Cell(values[index]) for values in named.values()]
        cells[0] = Cell(cells[0].text, before=swatch(place[group.runs[0].folder]))
        cells.append(_seeds(group, by))
        for metric in final:
            found = group.estimate(metric.name)
            text = interval(found, metric.format.text)
            cells.append(Cell(text, found.value if found.n else None))
        if target is not None:
            cells.append(_reached(group, target, place))
        rows.append([*cells, Cell(_states(group))])
    return Grid([*columns, Column("status")], rows)


def target_column(target: float) -> Column:
    """The tokens to a loss, which the page can change."""
    head, shown = "tokens to\nloss", loss(target)
    html = f'{head} <span class="target">{shown}</span>'
    return Column(f"{head} {shown}", number=True, html=html)


def _seeds(group: Seeds, by: Metric) -> Cell:
    """How many seeds the means stand for, and of how many where some did not complete."""
    n = group.estimate(by.name).n
    return Cell(str(n) if n == len(group.runs) else f"{n} of {len(group.runs)}", n)


def _reached(group: Seeds, target: float, place: dict[Path, int]) -> Cell:
    """The mean over the seeds that reached the target, and how many did where not all."""
    ended = [run for run in group.runs if run.status == "completed"]
    found = [t for run in ended if (t := tokens_to_loss(run, target)) is not None]
    mean, at = estimate(found), tuple(place[run.folder] for run in ended)
    if not found:
        return Cell("not reached" if ended else MISSING, runs=at)
    text = interval(mean, count)
    text += "" if len(found) == len(ended) else f" ({len(found)} of {len(ended)})"
    return Cell(text, mean.value, runs=at)


def _states(group: Seeds) -> str:
    states = Counter(run.status for run in group.runs)
    return ", ".join(f"{n} {state}" for state, n in states.items())
