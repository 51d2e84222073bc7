"""How runs are told apart: a colour for each value of what one compares, a dash per degree."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydratron.config.keys import carries
from hydratron.reporting.differences import variants, varying
from hydratron.reporting.formats import setting, settings
from hydratron.reporting.records import Run

DASHES = ("solid", "7px,4px", "2px,3px", "9px,3px,2px,3px", "14px,4px", "5px,2px")
# How many of the page's six colours: for any number of values those that are farthest apart.
SPREAD = ((3,), (0, 5), (0, 1, 5), (0, 1, 2, 5), (0, 1, 2, 4, 5), (0, 1, 2, 3, 4, 5))
# More numbers than this are read as a scale.
FEW_NUMBERS = 3
# Lightness falls all the way in both, which every kind of colour vision sees.
RAMPS = {
    "light": ("#dd9a00", "#e0641f", "#c0285f", "#7b2391", "#3c1a86", "#170a3d"),
    "dark": ("#fbe98a", "#fbb04c", "#f4806a", "#d264a6", "#9a63d6", "#5d63e6"),
}


@dataclass(frozen=True)
class Style:
    """The line of a run: `dash` counts the parallel degrees from the fewest ranks up."""

    degree: str
    dash: int

    @property
    def pattern(self) -> str:
        """The dash as SVG and Plotly write it."""
        return DASHES[self.dash % len(DASHES)]


@dataclass(frozen=True)
class Colouring:
    """One way to colour the runs: labels in reading order, their CSS colours, a label per run."""

    key: str
    labels: tuple[str, ...]
    colours: tuple[str, ...]
    of: tuple[int, ...]


def styles(runs: Sequence[Run]) -> list[Style]:
    """One style per run."""
    dashes = {label: i for i, label in enumerate(_degrees(runs))}
    return [Style(run.parallel, dashes[run.parallel]) for run in runs]


def colourings(runs: Sequence[Run]) -> list[Colouring]:
    """By variant first, then by model, parallel degree and every other key that differs."""
    keys = [key for key in varying(runs) if not carries(key, "bookkeeping")]
    found = [_by_size("variant", runs, variants(runs))]
    if "model.name" in keys:
        found.append(_by_size("model", runs, [run.model for run in runs]))
    degrees = _degrees(runs)
    if len(degrees) > 1:
        found.append(_colouring("parallel", [run.parallel for run in runs], degrees))
    others = [key for key in keys if key != "model.name" and not carries(key, "axis")]
    found += [_by_value(key, runs) for key in others]
    # The model is offered once: where the variants are the models they are the same.
    unique = {(c.labels, c.of): c for c in reversed(found)}
    return [c for c in found if unique[c.labels, c.of] is c]


def palette(count: int, *, scale: bool = False) -> tuple[str, ...]:
    """CSS colours for that many values in order; a scale, or too many of them, get a ramp."""
    if count <= len(SPREAD) and not (scale and count > FEW_NUMBERS):
        return tuple(f"var(--c{i})" for i in SPREAD[count - 1])
    light, dark = (_ramp(RAMPS[scheme], count) for scheme in ("light", "dark"))
    return tuple(f"light-dark({a}, {b})" for a, b in zip(light, dark, strict=True))


def _degrees(runs: Sequence[Run]) -> list[str]:
    """The parallel degrees from the fewest ranks up."""
    ranks = {run.parallel: (math.prod(run.sizes.values()), run.parallel) for run in runs}
    return sorted(ranks, key=ranks.__getitem__)


def _by_size(key: str, runs: Sequence[Run], labels: Sequence[str]) -> Colouring:
    blocks: dict[str, int] = {}
    for run, label in zip(runs, labels, strict=True):
        blocks[label] = max(run.blocks, blocks.get(label, 0))
    return _colouring(key, labels, sorted(blocks, key=lambda label: (blocks[label], label)))


def _by_value(key: str, runs: Sequence[Run]) -> Colouring:
    values = [run.settings.get(key) for run in runs]
    numbers = all(_is_number(value) for value in values)
    distinct = {json.dumps(v, sort_keys=True, default=str): v for v in values}.values()
    ordered = sorted(distinct, key=lambda v: (v is not None, *_rank(v)))
    labels = settings(ordered)
    text = dict(zip(map(json.dumps, ordered), labels, strict=True))
    return _colouring(key, [text[json.dumps(v)] for v in values], labels, scale=numbers)


def _rank(value: Any) -> tuple[float, str]:
    return (value, "") if _is_number(value) else (math.inf, setting(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _colouring(
    key: str, labels: Sequence[str], ordered: Sequence[str], *, scale: bool = False
) -> Colouring:
    index = {label: i for i, label in enumerate(ordered)}
    colours = palette(len(ordered), scale=scale)
    return Colouring(key, tuple(ordered), colours, tuple(index[label] for label in labels))


def _ramp(stops: Sequence[str], count: int) -> list[str]:
    """Evenly spaced colours between the stops, `#rrggbb`."""
    channels = np.array([[int(s[i : i + 2], 16) for i in (1, 3, 5)] for s in stops], dtype=float)
    at, known = np.linspace(0, 1, count), np.linspace(0, 1, len(stops))
    mixed = np.column_stack([np.interp(at, known, channels[:, i]) for i in range(3)])
    return ["#" + "".join(f"{round(c):02x}" for c in row) for row in mixed.tolist()]
