"""The house's look of a figure: colours, and what matplotlib is told for all that it draws."""

from __future__ import annotations

from typing import Any

from hydratron.reporting.palette import LIGHT

# The dashboard's palette on white, in another order: blue is what most figures begin with.
COLOURS = (*(LIGHT[place] for place in (3, 0, 1, 2, 4, 5)), "#8b909a")
HEAT = "Blues"
INK, SOFT, GRID = "#1b1d22", "#5c616b", "#e4e5e8"
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 9,
    "grid.color": GRID,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    # Letters as outlines look the same without the font; the salt makes names of parts constant.
    "svg.fonttype": "path",
    "svg.hashsalt": "hydratron",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "ytick.left": False,
}
