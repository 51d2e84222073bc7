"""Runs that differ only in their seed: groups, and what a mean over the seeds is worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hydratron.reporting.differences import SEED, combined, groups, short_columns
from hydratron.reporting.estimate import Estimate, estimate
from hydratron.reporting.formats import MISSING
from hydratron.reporting.records import BROKEN, Run


@dataclass(frozen=True)
class Seeds:
    """Runs of one configuration under two or more seeds; `label` says what sets it apart."""

    label: str
    runs: tuple[Run, ...]

    @property
    def usable(self) -> tuple[Run, ...]:
        """The runs that a mean curve stands for; diverged and failed ones are drawn by themselves.

        A curve that went on with fewer seeds after one of them broke would jump.
        """
        return tuple(run for run in self.runs if run.status not in BROKEN)

    def estimate(self, key: str) -> Estimate:
        """The finite final values of the completed runs."""
        values = [run.final(key) for run in self.runs if run.status == "completed"]
        return estimate([v for v in values if v is not None and math.isfinite(v)])


def seed_groups(runs: Sequence[Run]) -> list[Seeds]:
    """The groups of two or more seeds, in the order of the runs; empty where there is none."""
    found = [g for g in groups(runs, SEED) if len({run.seed for run in g}) > 1]
    firsts = [group[0] for group in found]
    labels = combined(
        short_columns(firsts, SEED) or {"model": [r.model for r in firsts]}, len(found)
    )
    return [Seeds(label, tuple(group)) for label, group in zip(labels, found, strict=True)]


def interval(found: Estimate, show: Callable[[float | None], str]) -> str:
    """`4.7010 ± 0.0123`, the mean alone for a single seed, a dash for none."""
    if not found.n:
        return MISSING
    return show(found.value) + (f" ± {show(found.half)}" if found.half is not None else "")
