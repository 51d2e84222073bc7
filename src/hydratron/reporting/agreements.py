"""Whether the parallel degrees of a run agree: they are the same computation in another order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hydratron.reporting.differences import PARALLEL, groups
from hydratron.reporting.formats import gap, rate
from hydratron.reporting.levels import final, missing, without
from hydratron.reporting.metrics import RANKED, ROWS
from hydratron.reporting.orders import model_labels
from hydratron.reporting.records import Run

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Agreement:
    """Largest absolute differences between runs that differ only in the parallel degree.

    `validation` and `training` compare the curves at equal steps; None without common steps.
    """

    model: str
    degrees: tuple[str, ...]
    final: float | None
    validation: float | None
    training: float | None
    dropout: float = 0.0
    missing: tuple[str, ...] = ()

    @property
    def holds(self) -> bool | None:
        """Whether the final validation losses agree within 1e-4; None with nothing to compare."""
        return None if self.final is None else self.final <= TOLERANCE

    def sentence(self) -> str:
        head = f"parallel, {self.model}"
        if self.final is None:
            return f"{head}: not compared{without(self.missing)}"
        within = "within" if self.holds else "NOT within"
        line = f"{head} ({', '.join(self.degrees)}): final validation loss differs by at most "
        line += f"{gap(self.final)}: {within} {rate(TOLERANCE)}"
        curves = (("validation", self.validation), ("training", self.training))
        parts = [f"{gap(value)} ({name})" for name, value in curves if value is not None]
        if parts:
            line += f"; along the curves by at most {', '.join(parts)}"
        if self.dropout and not self.holds:
            line += f"; dropout {self.dropout:g} draws other masks at each degree"
        return line + without(self.missing)


def agreements(runs: Sequence[Run]) -> list[Agreement]:
    """One Agreement per model, over all its groups of runs that differ only in `parallel`."""
    found = [g for g in groups(runs, PARALLEL) if len({run.parallel for run in g}) > 1]
    by_model: dict[str, list[list[Run]]] = {}
    for group, label in zip(found, model_labels([group[0] for group in found]), strict=True):
        by_model.setdefault(label, []).append(group)
    return [_agreement(model, members) for model, members in by_model.items()]


def _agreement(model: str, members: Sequence[Sequence[Run]]) -> Agreement:
    ended = [[run for run in group if final(run, ROWS[RANKED]) is not None] for group in members]
    pairs = [
        (a, b) for group in ended for a, b in combinations(group, 2) if a.parallel != b.parallel
    ]
    kept = dict.fromkeys(run.parallel for group in ended if len(group) > 1 for run in group)
    return Agreement(
        model=model,
        degrees=tuple(kept),
        final=_largest(abs(_final(a) - _final(b)) for a, b in pairs),
        validation=_largest(d for a, b in pairs if (d := _gap(a, b, RANKED)) is not None),
        training=_largest(d for a, b in pairs if (d := _gap(a, b, "train/loss")) is not None),
        dropout=float(members[0][0].settings.get("model.dropout") or 0.0),
        missing=missing([run for group in members for run in group], ROWS[RANKED]),
    )


def _final(run: Run) -> float:
    found = final(run, ROWS[RANKED])
    return math.nan if found is None else found


def _gap(a: Run, b: Run, key: str) -> float | None:
    """The largest difference at a step that both have logged; None without such a step."""
    (steps, first), (others, second) = a.curve(key), b.curve(key)
    _, at, there = np.intersect1d(steps, others, assume_unique=True, return_indices=True)
    return float(np.abs(first[at] - second[there]).max()) if len(at) else None


def _largest(values: Iterable[float]) -> float | None:
    return max(values, default=None)
