"""A figure as plain data: what an analysis draws, before anything decides how it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from hydratron.reporting.verdict import Verdict


@dataclass(frozen=True)
class Line:
    """One curve; `colour` counts in the palette or is `#rrggbb`; `band` is (lows, highs), as long.

    Points without a line when `marks` is set; an empty label stays out of the legend.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int | str = 0
    dashed: bool = False
    marks: bool = False
    band: tuple[Sequence[float], Sequence[float]] | None = None


@dataclass(frozen=True)
class Panel:
    """One pair of axes.  `perplexity` adds a right axis of exp(y); `rules` are levels to mark.

    `y_limits` are for panels that are compared; without them the data decide.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    x_log: bool = False
    y_log: bool = False
    perplexity: bool = False
    rules: Sequence[tuple[float, str]] = ()
    y_limits: tuple[float, float] | None = None
    width: int = 1
    """Share of the figure's width, relative to the other panels."""


@dataclass(frozen=True)
class HeatMap:
    """A value for each pair of a row and a column, lower ones lighter; `values[row][column]`.

    Cells of `crossed` (row, column) are marked, and `mark` says in the legend what that means;
    not-a-number is an empty cell, of what was not run.
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
class Bars:
    """A bar for each column, made of `stacks`: by label, one value of each column, from below.

    `grouped` puts the values side by side instead.  Not-a-number leaves a value out.  `rules` are
    levels with their names.  `marks` are points over the bars, by label, one of each column: in a
    grouped panel with as many as there are stacks, each over its own bar.
    """

    title: str
    x_label: str
    y_label: str
    columns: Sequence[str]
    stacks: Mapping[str, Sequence[float]]
    rules: Sequence[tuple[float, str]] = ()
    marks: Mapping[str, Sequence[float]] = field(default_factory=dict)
    grouped: bool = False
    width: int = 1


@dataclass(frozen=True)
class TimeLine:
    """What each of `rows` does from 0 to `length`; `kinds`: by label, (row, begin, end) of each."""

    title: str
    x_label: str
    rows: Sequence[str]
    kinds: Mapping[str, Sequence[tuple[int, float, float]]]
    length: float
    width: int = 1


@dataclass(frozen=True)
class Figure:
    """Panels side by side; `below` is a second line of them."""

    title: str
    panels: Sequence[Panel | HeatMap | Bars | TimeLine]
    below: Sequence[Panel | HeatMap | Bars | TimeLine] = ()


@dataclass(frozen=True)
class Analysis:
    """What `analyze(frame, criteria)` of an artifact returns; `more`: further figures by name."""

    figure: Figure
    table: pd.DataFrame
    verdicts: Sequence[Verdict]
    notes: Sequence[str] = field(default_factory=tuple)
    more: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, Figure]:
        """All of them by the name of their file."""
        return {"figure": self.figure} | {f"figure_{name}": one for name, one in self.more.items()}
