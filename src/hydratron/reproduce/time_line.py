"""A panel of what ranks do over time: a bar for each, cut where it does something else."""

from __future__ import annotations

from matplotlib.axes import Axes

from hydratron.reproduce.figure import TimeLine
from hydratron.reproduce.look import COLOURS, SOFT

TALL = 0.7
"""Share of a row's height that its bar takes."""


def draw_time_line(axes: Axes, panel: TimeLine) -> None:
    """The first of the names is on top; kinds have one colour each, what is left is empty."""
    axes.set(xlabel=panel.x_label)
    for number, (kind, bars) in enumerate(panel.kinds.items()):
        for row in range(len(panel.rows)):
            spans = [(begin, end - begin) for place, begin, end in bars if place == row]
            colour = COLOURS[number % len(COLOURS)]
            axes.broken_barh(spans, (row - TALL / 2, TALL), color=colour, linewidth=0)
        # A handle even for what no rank does.
        axes.bar(0, 0, color=COLOURS[number % len(COLOURS)], label=kind)
    axes.set_xlim(0, panel.length)
    axes.set_ylim(len(panel.rows) - 0.5, -0.5)
    axes.set_yticks(range(len(panel.rows)), panel.rows)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.set_title(panel.title, pad=21)
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=len(panel.kinds), columnspacing=0.8,
        handlelength=0.8, labelcolor=SOFT, fontsize=8,
    )  # fmt: skip
    # A panel is not made narrower for it.
    legend.set_in_layout(False)
