"""How runs are told apart: one option gives the colour of a line, another one its dash."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hydratron.reporting.differences import combined, short_columns
from hydratron.reporting.palette import palette
from hydratron.reporting.records import Run

DASHES = ("solid", "7px,4px", "2px,3px", "9px,3px,2px,3px", "14px,4px", "5px,2px")
NONE, ALL, PARALLEL = "none", "variant", "parallel"


@dataclass(frozen=True)
class Legend:
    """One option by which to tell runs apart: its values in reading order, their CSS colours, and
    which of them each run has."""

    key: str
    labels: tuple[str, ...]
    colours: tuple[str, ...]
    of: tuple[int, ...]

    @property
    def dashes(self) -> bool:
        """Whether there is a dash for each value."""
        return len(self.labels) <= len(DASHES)


@dataclass(frozen=True)
class Legends:
    """What is offered, and the keys that a page begins with; NONE is a solid line for all."""

    offered: tuple[Legend, ...]
    colour: str
    dash: str

    def of(self, key: str) -> Legend | None:
        return next((legend for legend in self.offered if legend.key == key), None)


def legends(runs: Sequence[Run]) -> Legends:
    """A legend for each column that differs, and one for all that the dash does not tell.

    The dash is the parallel degree where that differs, whose curves coincide; else the option of
    the fewest values, where there are two.  The seed is in neither.
    """
    columns = short_columns(runs)
    found = {title: _legend(title, values, runs) for title, values in columns.items()}
    things = _independent({t: found[t].of for t in found if t not in (PARALLEL, "seed")})
    dash = NONE
    if PARALLEL in found:
        dash = PARALLEL
    elif len(things) > 1:
        few = [t for t in things if t != "model" and found[t].dashes]
        dash = min(reversed(few), key=lambda t: len(found[t].labels), default=NONE)
    coloured = [title for title in things if title != dash]
    if len(coloured) == 1:
        return Legends(tuple(found.values()), coloured[0], dash)
    told = {title: columns[title] for title in coloured} or {"model": [r.model for r in runs]}
    everything = _legend(ALL, combined(told, len(runs)), runs)
    return Legends((everything, *found.values()), ALL, dash)


def _independent(columns: dict[str, tuple[int, ...]]) -> list[str]:
    """The columns without those that the model decides, or one before that changes in step."""
    kept: list[str] = []
    for title, values in columns.items():
        pairs = {other: len({*zip(columns[other], values, strict=True)}) for other in kept}
        decided = any(
            pairs[other] == len({*columns[other]})
            and (other == "model" or pairs[other] == len({*values}))
            for other in kept
        )
        kept += [] if decided else [title]
    return kept


def _legend(key: str, values: Sequence[str], runs: Sequence[Run]) -> Legend:
    numbers = all(_number(value) is not None for value in values)
    first = dict(zip(reversed(values), reversed(runs), strict=True))
    ordered = sorted(first, key=lambda value: _place(key, value, first[value]))
    colours = palette(ordered, scale=numbers)
    return Legend(key, tuple(ordered), colours, tuple(ordered.index(value) for value in values))


def _place(key: str, value: str, run: Run) -> tuple[float, float, str]:
    """Degrees from the fewest ranks up, numbers by value after null, all else by the model."""
    if key == PARALLEL:
        return math.prod(run.sizes.values()), 0, value
    if (number := _number(value)) is not None:
        return 0, number, value
    return run.blocks if key in ("model", ALL) else 1, 0, value


def _number(text: str) -> float | None:
    """The value of a text that is a number; null comes before all others."""
    try:
        return -math.inf if text == "null" else float(text)
    except ValueError:
        return None
