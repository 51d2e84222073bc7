"""A figure as plain data: what an analysis draws, before anything decides how it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from hydratron.reporting.verdict import Verdict


@dataclass(frozen=True)
class Line:
    """One curve; `colour` counts in the palette; `band` is (lows, highs) of the same length.

    Points without a line when `marks` is set; an empty label stays out of the legend.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    dashed: bool = False
    marks: bool = False
    band: tuple[Sequence[float], Sequence[float]] | None = None


@dataclass(frozen=True)
class Panel:
    """One pair of axes.  `perplexity` adds a right axis of exp(y); `rule` is a level to mark."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    x_log: bool = False
    y_log: bool = False
    perplexity: bool = False
    rule: tuple[float, str] | None = None
    width: int = 1
    """Share of the figure's width, relative to the other panels."""


@dataclass(frozen=True)
class HeatMap:
    """A value for each pair of a row and a column, lower ones lighter; `values[row][column]`.

    Cells of `crossed` (row, column) are marked, and `mark` says in the legend what that means;
    not-a-number is an empty cell.
    """

    title: str
    x_label: str
    y_label: str
    columns: Sequence[str]
    rows: Sequence[str]
    values: Sequence[Sequence[float]]
    limits: tuple[float, float]
    """The values of the lightest and the darkest cell, the same for maps that are compared."""
    crossed: frozenset[tuple[int, int]] = frozenset()
    mark: str = ""
    width: int = 1


@dataclass(frozen=True)
class Figure:
    """Panels side by side; `below` is a second line of them."""

    title: str
    panels: Sequence[Panel | HeatMap]
    below: Sequence[Panel | HeatMap] = ()


@dataclass(frozen=True)
class Analysis:
    """What `analyze(frame, criteria)` of an artifact returns."""

    figure: Figure
    table: pd.DataFrame
    verdicts: Sequence[Verdict]
    notes: Sequence[str] = field(default_factory=tuple)
