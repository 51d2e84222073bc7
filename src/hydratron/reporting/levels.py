"""The levels of a swept option, each at the best of the rates that it was crossed with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hydratron.reporting.estimate import Estimate, estimate
from hydratron.reporting.formats import signed
from hydratron.reporting.metrics import RANKED, rank
from hydratron.reporting.records import Run
from hydratron.reporting.verdict import paired


@dataclass(frozen=True)
class Level:
    """One value of an option, and its final validation losses by seed.

    `at` is the one of the crossed rates that these are of, empty where nothing was crossed.
    """

    label: str
    at: str
    losses: Mapping[int, float]

    @property
    def mean(self) -> float:
        return estimate([*self.losses.values()]).value

    def over(self, seeds: Sequence[int]) -> Level:
        """The same with the losses of these seeds alone."""
        return replace(self, losses={seed: self.losses[seed] for seed in seeds})

    def minus(self, other: Level) -> Estimate:
        """The mean difference, paired by seed."""
        return estimate([*paired(self.losses, other.losses).values()])

    def __str__(self) -> str:
        return f"{self.label} ({self.at})" if self.at else self.label


def best_levels(runs: Sequence[Run], labels: Sequence[str], settings: Sequence[str]) -> list[Level]:
    """One level for each distinct label of the runs, the lowest mean loss first.

    `settings` says the rates of each run: a level has the losses of the setting with which most
    of its seeds ended, and of several such the lowest mean.  A level without any loss comes last.
    """
    cells: dict[tuple[str, str], dict[int, float]] = {}
    for run, label, setting in zip(runs, labels, settings, strict=True):
        losses = cells.setdefault((label, setting), {})
        if (loss := final_loss(run)) is not None:
            losses[run.seed or 0] = loss
    found: dict[str, list[Level]] = {}
    for (label, setting), losses in cells.items():
        found.setdefault(label, []).append(Level(label, setting, losses))
    best = [min(cell, key=lambda c: (-len(c.losses), rank(c.mean))) for cell in found.values()]
    return sorted(best, key=lambda level: rank(level.mean))


def final_loss(run: Run) -> float | None:
    """The validation loss of a completed run; None for any other and for one without."""
    value = run.final(RANKED) if run.status == "completed" else None
    return value if value is not None and math.isfinite(value) else None


def missing(runs: Sequence[Run]) -> tuple[str, ...]:
    """A word on each run without a final loss."""
    return tuple(
        f"{run.name} ({run.status if run.status != 'completed' else 'no validation loss'})"
        for run in runs
        if final_loss(run) is None
    )


def difference(found: Estimate) -> str:
    """`+0.1230 [0.0500, 0.1960]`, with its 95 % interval where seeds allow one."""
    if found.interval is None:
        return signed(found.value)
    return f"{signed(found.value)} [{', '.join(map(signed, found.interval))}]"


def without(missing: Sequence[str], shown: int = 3) -> str:
    """The end of a sentence that names them, or the first of many."""
    if not missing:
        return ""
    more = f" and {len(missing) - shown} more" if len(missing) > shown else ""
    return f"; without {', '.join(missing[:shown])}{more}"
