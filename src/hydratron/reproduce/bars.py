"""A panel of bars: drawn first, and its names and legend fitted once the room for them is known."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.ticker import Formatter

from hydratron.reproduce.figure import Bars
from hydratron.reproduce.look import COLOURS, INK, SOFT

FILLED = 0.75
"""Share of a column's width that its bars take."""
SHAPES = ("D", "o", "s", "^")
TITLE_GAP = 6.0  # points
SLANT = 45
NEAR = 0.07
"""Share of the axes' height within which the names of two rules would touch."""


def draw_bars(axes: Axes, bars: Bars, formatter: Formatter) -> None:
    """Bars, marks and rules; the ticks of the values as `formatter` writes them."""
    axes.set(xlabel=bars.x_label, ylabel=bars.y_label, title=bars.title)
    places = np.arange(len(bars.columns))
    below = np.zeros(len(places))
    thick = FILLED / max(1, len(bars.stacks)) if bars.grouped else FILLED
    shifts = [0.0 for _ in bars.stacks]
    if bars.grouped:
        shifts = [(index - (len(shifts) - 1) / 2) * thick for index in range(len(shifts))]
    for index, (label, values) in enumerate(bars.stacks.items()):
        heights = np.asarray(values, dtype=float)
        shown = np.isfinite(heights)
        colour = COLOURS[index % len(COLOURS)]
        at = places[shown] + shifts[index]
        axes.bar(at, heights[shown], thick, below[shown], color=colour, linewidth=0, label=label)
        if not bars.grouped:
            below[shown] += heights[shown]
    for index, (label, values) in enumerate(bars.marks.items()):
        heights = np.asarray(values, dtype=float)
        shown = np.isfinite(heights)
        at = places[shown] + (shifts[index] if len(bars.marks) == len(shifts) else 0)
        (line,) = axes.plot(at, heights[shown], SHAPES[index % len(SHAPES)], label=label)
        line.set(color=INK, markersize=6, markeredgecolor="white", zorder=4)
    axes.set_xticks(places, bars.columns)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, max(0.5, len(places) - 0.5))
    axes.yaxis.set_major_formatter(formatter)
    _rules(axes, bars)


def _rules(axes: Axes, bars: Bars) -> None:
    """Each level with its name above it, at the other side where the one below is too near."""
    if not bars.rules:
        return
    for level, _ in bars.rules:
        axes.axhline(level, color=INK, linestyle=":", linewidth=1)
    low, high = axes.get_ylim()
    high += NEAR * (high - low)
    axes.set_ylim(low, high)
    before, right = -math.inf, True
    for level, label in sorted(bars.rules):
        right = not right if level - before < NEAR * (high - low) else True
        before = level
        axes.annotate(
            label,
            (0.99 if right else 0.01, level),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right" if right else "left",
            va="bottom",
            color=SOFT,
            # Readable over a bar.
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
        )


def finish_bars(line: Sequence[tuple[Axes, Bars]]) -> None:
    """Fit the names and legends of panels side by side, their titles at one height.

    Reads the sizes of what is drawn, so the figure must have been laid out.
    """
    for axes, bars in line:
        _fit_names(axes, bars)
    tallest = max(_fit_legend(axes, bars) for axes, bars in line)
    for axes, bars in line:
        axes.set_title(bars.title, pad=TITLE_GAP + tallest)


def _fit_legend(axes: Axes, bars: Bars) -> float:
    """The legend between title and axes, in as few rows as fit; its height in points."""
    count = len(bars.stacks) + len(bars.marks)
    room = axes.get_window_extent().width
    for columns in range(count, 0, -1):
        legend = axes.legend(
            handles=[*axes.containers, *axes.get_lines()[: len(bars.marks)]],
            loc="lower left",
            bbox_to_anchor=(-0.02, 0.98),
            ncols=columns,
            columnspacing=1.2,
            labelspacing=0.3,
            handlelength=1.2,
        )
        size = legend.get_window_extent()
        if size.width <= room or columns == 1:
            return float(size.height * 72 / axes.figure.dpi)
    return 0.0


def _fit_names(axes: Axes, bars: Bars) -> None:
    """As they are where there is room, else in lines of whole words, else slanted or upright."""
    names = list(bars.columns)
    room = 0.95 * axes.get_window_extent().width / max(1, len(names))
    words = max((len(word) for name in names for word in name.split()), default=0)
    for length in range(max(map(len, names), default=0), words - 1, -1):
        lines = [textwrap.fill(name, max(1, length), break_long_words=False) for name in names]
        axes.set_xticks(range(len(names)), lines)
        if _widest(axes.get_xticklabels()) <= room:
            return
    axes.set_xticks(range(len(names)), names)
    texts = axes.get_xticklabels()
    tall = max((text.get_window_extent().height for text in texts), default=0)
    slanted = tall / math.sin(math.radians(SLANT)) <= room
    for text in texts:
        # By the end of the name, not by the middle of its box.
        vertical = "center_baseline" if slanted else "center"
        text.set(rotation=SLANT if slanted else 90, rotation_mode="anchor", ha="right", va=vertical)


def _widest(texts: list[Text]) -> float:
    return max((text.get_window_extent().width for text in texts), default=0.0)
