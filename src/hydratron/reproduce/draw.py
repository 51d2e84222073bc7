"""A figure as SVG by matplotlib, fit to print, and the same bytes whenever it is drawn again."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from hydratron.reproduce.bars import draw_bars, finish_bars
from hydratron.reproduce.figure import Bars, Figure, HeatMap, Line, Panel, TimeLine
from hydratron.reproduce.look import COLOURS, HEAT, INK, SOFT, STYLE
from hydratron.reproduce.time_line import draw_time_line

WIDTH, HEIGHT = 9.6, 4.2  # inches
NAMED, CELL = 1.2, 0.6  # inches that a name in a legend takes, and a cell with its value
# What matplotlib would say of itself and of the date.
METADATA = ("Creator", "Date", "Format", "Type")
DIGITS = 6


def number(value: float) -> str:
    """A tick's text: 2M, 0.5, 1e-6."""
    if value == 0:
        return "0"
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.{DIGITS}g}{unit}"
    if abs(value) < 1e-3:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.{DIGITS}g}"


def svg(figure: Figure) -> str:
    """The whole document, without the XML header that HTML does not allow inside a page."""
    # From the defaults, so that nobody's matplotlibrc changes a committed figure.
    with style.context(["default", STYLE]):
        text = io.StringIO()
        canvas(figure).savefig(text, format="svg", metadata=dict.fromkeys(METADATA))
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]


def canvas(figure: Figure) -> Canvas:
    """The figure as matplotlib has it; one pair of axes per panel, in their order."""
    lines = [panels for panels in (figure.panels, figure.below) if panels]
    drawn = Canvas(figsize=(WIDTH, HEIGHT * len(lines)), layout="constrained")
    drawn.suptitle(figure.title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    barred: list[list[tuple[Axes, Bars]]] = []
    for part, panels in zip(_parts(drawn, len(lines)), lines, strict=True):
        widths = [panel.width for panel in panels]
        barred.append([])
        places = part.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
        for axes, panel in zip(places, panels, strict=True):
            inches = WIDTH * panel.width / sum(widths)
            if isinstance(panel, HeatMap):
                _heat_map(axes, panel, inches)
            elif isinstance(panel, TimeLine):
                draw_time_line(axes, panel)
            elif isinstance(panel, Bars):
                draw_bars(axes, panel, FuncFormatter(_tick))
                barred[-1].append((axes, panel))
            else:
                _panel(axes, panel, inches)
    if any(barred):
        # How much room the names and the legends have shows only now.
        drawn.draw_without_rendering()
        for line in filter(None, barred):
            finish_bars(line)
    return drawn


def _parts(drawn: Canvas, lines: int) -> list[Any]:
    return [drawn] if lines == 1 else [*drawn.subfigures(lines, 1, squeeze=False)[:, 0]]


def _panel(axes: Axes, panel: Panel, inches: float) -> None:
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
    for line in panel.lines:
        _line(axes, line, panel.y_log)
    _rules(axes, panel.rules)
    _scale(axes.set_xscale, axes.xaxis, panel.x_log)
    if not panel.x_log and all(float(x).is_integer() for line in panel.lines for x in line.x):
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    _scale(axes.set_yscale, axes.yaxis, panel.y_log)
    if panel.y_limits is not None:
        axes.set_ylim(panel.y_limits)
    if panel.perplexity:
        right = axes.secondary_yaxis("right", functions=(_exp, _log))
        right.set_ylabel("perplexity")
        right.spines["right"].set_visible(True)
        low, high = _exp(np.asarray(axes.get_ylim()))
        subs = _subs(low, high, (1, 1.5, 2, 3, 5, 7))
        right.yaxis.set_major_locator(LogLocator(subs=subs, numticks=15))
        right.yaxis.set_major_formatter(FuncFormatter(_tick))
    labels = sum(bool(line.label) for line in panel.lines)
    levels = len(panel.rules) if len(panel.rules) > 1 else 0
    fits = max(1, int(inches / NAMED))
    # Curves above, levels below.
    rows = [*_rows(range(labels), fits), *_rows(range(labels, labels + levels), fits)]
    # Between title and axes, where it hides no value.
    axes.set_title(panel.title, pad=6 + 15 * len(rows) if labels else 6)
    if labels:
        handles, names = axes.get_legend_handles_labels()
        # A legend is filled by columns.
        order = [i for column in zip_longest(*rows) for i in column if i is not None]
        axes.legend(
            [handles[i] for i in order], [names[i] for i in order], loc="lower left",
            bbox_to_anchor=(-0.02, 0.98), ncols=max(map(len, rows)), columnspacing=1.2,
            handlelength=1.4,
        )  # fmt: skip


def _rows(places: Sequence[int], most: int) -> list[Sequence[int]]:
    """The places in rows of no more than `most`."""
    return [places[first : first + most] for first in range(0, len(places), most)]


def _rules(axes: Axes, rules: Sequence[tuple[float, str]]) -> None:
    """One level has its name beside it; several have theirs in the legend, clear of the curves."""
    for (level, label), look in zip(rules, (":", "-.", "--"), strict=False):
        several = len(rules) > 1
        axes.axhline(level, color=INK, linestyle=look, linewidth=1, label=label if several else "_")
        if not several:
            place = axes.get_yaxis_transform()
            axes.text(0.99, level, label, transform=place, ha="right", va="bottom", color=SOFT)


def _heat_map(axes: Axes, heat: HeatMap, inches: float) -> None:
    explained = f"\n× {heat.mark}" if heat.mark and heat.crossed else ""
    axes.set(xlabel=heat.x_label + explained, ylabel=heat.y_label, title=heat.title)
    narrow = inches < CELL * len(heat.columns)
    size = 7 if narrow else 9
    axes.grid(False)
    low, high = heat.limits
    at = [[place - 0.5 for place in range(len(names) + 1)] for names in (heat.columns, heat.rows)]
    axes.pcolormesh(*at, heat.values, cmap=HEAT, vmin=low, vmax=high, edgecolors="white")
    axes.invert_yaxis()
    axes.set_xticks(range(len(heat.columns)), heat.columns, rotation=45 if narrow else 0)
    axes.set_yticks(range(len(heat.rows)), heat.rows)
    axes.spines[:].set_visible(False)
    for row, values in enumerate(heat.values):
        for column, value in enumerate(values):
            if math.isnan(value):
                empty = axes.text(column, row, "not run", ha="center", va="center", color=SOFT)
                empty.set(fontsize=7, rotation=90 if narrow else 0)
                continue
            crossed = (row, column) in heat.crossed
            text = f"{value:.2f}" + ("\n×" if crossed else "")
            ink = "white" if value > (low + high) / 2 else INK
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=size)


def _scale(choose: Callable[[str], None], axis: Any, log: bool) -> None:
    if log:
        choose("log")
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=_subs(low, high), numticks=9))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(_tick))


def _subs(low: float, high: float, some: Sequence[float] = (1, 2, 5)) -> Sequence[float]:
    """Where a decade has ticks, so that they cover the data, many decades or a part of one."""
    if high > 100 * low:
        return (1,)
    return some if high > 5 * low else (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)


def _tick(value: float, _: int | None = None) -> str:
    return number(float(value))


def _line(axes: Axes, line: Line, log: bool) -> None:
    """Values that the axis cannot show are left out."""
    place = line.colour
    colour = place if isinstance(place, str) else COLOURS[place % len(COLOURS)]
    shown = [i for i, y in enumerate(line.y) if math.isfinite(y) and (y > 0 or not log)]
    x, y = _taken(line.x, shown), _taken(line.y, shown)
    label = line.label or "_unnamed"
    if line.marks:
        axes.plot(x, y, "o", color=colour, markersize=3, label=label)
        return
    if line.band is not None:
        low, high = (_taken(edge, shown) for edge in line.band)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, y, "--" if line.dashed else "-", color=colour, label=label)


def _taken(values: Sequence[float], places: Sequence[int]) -> list[float]:
    return [float(values[place]) for place in places]


def _exp(values: Any) -> Any:
    # Limits that are not set yet may be anything.
    return np.exp(np.clip(values, -700, 700))


def _log(values: Any) -> Any:
    return np.log(np.maximum(values, 1e-300))
