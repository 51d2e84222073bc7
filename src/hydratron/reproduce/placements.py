"""Runs by LayerNorm placement, depth and learning rate: which of them train, as maps and curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from hydratron.reporting.estimate import Estimate, estimate
from hydratron.reporting.palette import on_white
from hydratron.reproduce.draw import number
from hydratron.reproduce.figure import HeatMap, Line, Panel

PLACEMENT, DEPTH, RATE = "model.layernorm.placement", "model.num_layers", "optim.lr"
PLATEAU = "val/frequency_loss"
PLACES = ("post", "pre", "deepnorm", "sandwich")
COLOURS = dict(zip(PLACES, on_white(PLACES), strict=True))


class Cell(NamedTuple):
    """A place in the map."""

    place: str
    depth: int
    rate: float


Finals = Mapping[Cell, Mapping[int, float]]
"""Final loss by cell and seed; infinity for a run that diverged."""


def finals(frame: pd.DataFrame, loss: str) -> dict[Cell, dict[int, float]]:
    """The last `loss` of every run."""
    found: dict[Cell, dict[int, float]] = {}
    keys = [PLACEMENT, DEPTH, RATE, "seed", "status"]
    key: Any
    for key, rows in frame.groupby(keys, sort=True):
        place, depth, rate, seed, status = key
        values = rows[loss].dropna()
        last = math.inf if status == "diverged" or values.empty else float(values.iloc[-1])
        found.setdefault(Cell(str(place), int(depth), float(rate)), {})[int(seed)] = last
    return found


def plateau(frame: pd.DataFrame) -> float:
    """What guessing by frequency alone costs, in nats: a run that learns nothing more stays here.

    The same for every run, since all are validated on the same samples.
    """
    return float(frame[PLATEAU].dropna().iloc[0])


def fails(losses: Mapping[int, float], limit: float) -> bool:
    """Whether most seeds failed to train: they end above the limit."""
    return 2 * sum(loss > limit for loss in losses.values()) > len(losses)


def one_breaks(
    breaks: Mapping[int, float], trains: Mapping[int, float], limit: float
) -> dict[int, float]:
    """By seed the smaller of what one is above the limit and the other below it."""
    return {
        # A run that diverged is above every limit; its distance says nothing.
        seed: min(breaks[seed] - limit, limit - trains[seed])
        if math.isfinite(breaks[seed])
        else limit - trains[seed]
        for seed in sorted(breaks.keys() & trains.keys())
    }


def runs_of(frame: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """The rows of the runs in a cell."""
    return frame[
        (frame[PLACEMENT] == cell.place) & (frame[DEPTH] == cell.depth) & (frame[RATE] == cell.rate)
    ]


def mean(losses: Mapping[int, float]) -> Estimate:
    """Over the seeds that did not diverge."""
    return estimate([loss for loss in losses.values() if math.isfinite(loss)])


def heat_maps(found: Finals, places: Sequence[str], level: float, limit: float) -> list[HeatMap]:
    """Mean final losses of each placement, in the same shades up to the `level` of frequencies.

    A cell is crossed where most seeds failed to train.
    """
    depths = sorted({cell.depth for cell in found})
    rates = sorted({cell.rate for cell in found})
    below = [loss for losses in found.values() for loss in losses.values() if loss < level]
    shades = (min([*below, level]), level)
    return [_heat_map(found, place, limit, shades, depths, rates) for place in places]


def _heat_map(
    found: Finals,
    place: str,
    limit: float,
    shades: tuple[float, float],
    depths: Sequence[int],
    rates: Sequence[float],
) -> HeatMap:
    cells = [[found.get(Cell(place, depth, rate)) for rate in rates] for depth in depths]
    values = [[math.nan if own is None else mean(own).value for own in row] for row in cells]
    crossed = frozenset(
        (i, j)
        for i, row in enumerate(cells)
        for j, own in enumerate(row)
        if own is not None and fails(own, limit)
    )
    return HeatMap(
        f"{place}: mean final loss", "learning rate", "layers", [number(r) for r in rates],
        [str(d) for d in depths], values, shades, crossed, "fails to train",
    )  # fmt: skip


def curves(
    frame: pd.DataFrame,
    loss: str,
    label: str,
    depth: int,
    rate: float,
    places: Sequence[str],
    limit: float,
) -> Panel:
    """Mean and range over the seeds of what completed; plateau and limit are marked."""
    lines = []
    for place in places:
        own = runs_of(frame, Cell(place, depth, rate))
        # The first validation, before any training, would take most of the axis.
        own = own[(own["status"] == "completed") & (own["step"] > 0)]
        steps = own.dropna(subset=[loss]).groupby("step")[loss]
        low, high = ([float(v) for v in edge] for edge in (steps.min(), steps.max()))
        means = steps.mean()
        x = [int(step) for step in means.index]
        lines.append(Line(place, x, [float(v) for v in means], COLOURS[place], band=(low, high)))
    title = f"{depth} layers, learning rate {number(rate)}"
    rules = [(plateau(frame), "frequencies"), (limit, "limit")]
    return Panel(title, "step", label, lines, rules=rules)


def same_scale(panels: Sequence[Panel]) -> list[Panel]:
    """The panels with one y axis, which holds the bands and rules of all."""
    edges = [e for p in panels for line in p.lines for e in (line.band or (line.y,))]
    values = [v for edge in edges for v in edge if math.isfinite(v)]
    values += [level for panel in panels for level, _ in panel.rules]
    low, high = min(values), max(values)
    room = 0.05 * (high - low)
    return [replace(panel, y_limits=(low - room, high + room)) for panel in panels]


def table(
    frame: pd.DataFrame, found: Finals, loss: str, limit: float, others: Sequence[str] = ()
) -> pd.DataFrame:
    """One row per cell of the map; `others` are metrics whose last mean is given too."""
    rows = []
    for cell, losses in found.items():
        last = runs_of(frame, cell).dropna(subset=[loss]).groupby("seed").last()
        final = mean(losses)
        rows.append(
            {
                "placement": cell.place,
                "layers": cell.depth,
                "learning rate": cell.rate,
                "seeds": len(losses),
                "fail to train": sum(loss > limit for loss in losses.values()),
                loss: final.value,
                "± 95 %": math.nan if final.half is None else final.half,
                **{key: float(last[key].mean()) for key in others if key in last},
            }
        )
    return pd.DataFrame(rows).sort_values(["layers", "learning rate", "placement"])
