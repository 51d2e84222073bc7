"""The levels of a swept option, each at the best of the rates that it was crossed with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hydratron.reporting.estimate import Estimate, estimate
from hydratron.reporting.formats import signed
from hydratron.reporting.metrics import RANKED, ROWS, Metric
from hydratron.reporting.ranking import rank
from hydratron.reporting.records import Run
from hydratron.reporting.verdict import paired


@dataclass(frozen=True)
class Level:
    """One value of an option, and its final values of the metric `by`, by seed.

    `at` is the one of the crossed rates that these are of, empty where nothing was crossed.
    """

    label: str
    at: str
    finals: Mapping[int, float]
    by: Metric = ROWS[RANKED]

    @property
    def mean(self) -> float:
        return estimate([*self.finals.values()]).value

    @property
    def shown(self) -> str:
        return self.by.format.text(self.mean)

    def over(self, seeds: Sequence[int]) -> Level:
        """The same with the values of these seeds alone."""
        return replace(self, finals={seed: self.finals[seed] for seed in seeds})

    def minus(self, other: Level) -> Estimate:
        """The mean difference, paired by seed."""
        return estimate([*paired(self.finals, other.finals).values()])

    def behind(self, best: Level) -> Estimate:
        """By how much it is worse, paired by seed."""
        return self.minus(best) if self.by.lower_is_better else best.minus(self)

    def __str__(self) -> str:
        return f"{self.label} ({self.at})" if self.at else self.label


def best_levels(
    runs: Sequence[Run], labels: Sequence[str], settings: Sequence[str], by: Metric
) -> list[Level]:
    """One level for each distinct label of the runs, the best mean first.

    `settings` says the rates of each run: a level has the values of the setting with which most
    of its seeds ended, and of several such the best mean.  A level without any comes last.
    """
    cells: dict[tuple[str, str], dict[int, float]] = {}
    for run, label, setting in zip(runs, labels, settings, strict=True):
        finals = cells.setdefault((label, setting), {})
        if (value := final(run, by)) is not None:
            finals[run.seed or 0] = value
    found: dict[str, list[Level]] = {}
    for (label, setting), finals in cells.items():
        found.setdefault(label, []).append(Level(label, setting, finals, by))
    best = [min(cell, key=lambda c: (-len(c.finals), rank(c.mean, by))) for cell in found.values()]
    return sorted(best, key=lambda level: rank(level.mean, by))


def final(run: Run, by: Metric) -> float | None:
    """The value of a completed run; None for any other and for one without."""
    value = run.final(by.name) if run.status == "completed" else None
    return value if value is not None and math.isfinite(value) else None


def missing(runs: Sequence[Run], by: Metric) -> tuple[str, ...]:
    """A word on each run without a final value."""
    nothing = f"no {by.title.lower()}"
    return tuple(
        f"{run.name} ({run.status if run.status != 'completed' else nothing})"
        for run in runs
        if final(run, by) is None
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
