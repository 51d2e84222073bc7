"""What a sweep shows, as data: the order of the sizes and the agreement of the degrees."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Protocol

import numpy as np

from hydratron.config.keys import marked
from hydratron.reporting.differences import PARALLEL, SHAPE, contexts, groups
from hydratron.reporting.formats import count, gap, loss, rate
from hydratron.reporting.metrics import RANKED
from hydratron.reporting.records import Run

TOLERANCE = 1e-4
NOT_COMPARED = SHAPE | marked("per_degree").keys()


class Finding(Protocol):
    """One statement about a sweep; `holds` is None where there is nothing to judge."""

    @property
    def holds(self) -> bool | None: ...

    def sentence(self) -> str: ...


@dataclass(frozen=True)
class Size:
    """A model size and the final validation loss it reached."""

    model: str
    parameters: int
    loss: float


@dataclass(frozen=True)
class SizeOrder:
    """Final validation losses of runs that differ only in the model, the smallest model first."""

    context: str
    sizes: tuple[Size, ...]
    missing: tuple[str, ...] = ()

    @property
    def holds(self) -> bool | None:
        """Whether every larger model ended strictly lower; None with fewer than two sizes."""
        pairs = [(a, b) for a, b in combinations(self.sizes, 2) if a.parameters < b.parameters]
        return all(a.loss > b.loss for a, b in pairs) if pairs else None

    def sentence(self) -> str:
        texts = [f"{size.model} {loss(size.loss)}" for size in self.sizes]
        line = texts[0] if texts else "no model has a final validation loss"
        for (smaller, larger), text in zip(pairwise(self.sizes), texts[1:], strict=True):
            line += f" {_sign(smaller.loss, larger.loss)} {text}"
        verdict = {
            True: "ordered, the larger the lower",
            False: "NOT ordered",
            None: "not compared",
        }[self.holds]
        head = f"sizes, {self.context}" if self.context else "sizes"
        return f"{head}: {line}: {verdict}{_without(self.missing)}"


@dataclass(frozen=True)
class SharedRate:
    """All compared sizes were trained with one learning rate."""

    lr: float
    holds: None = None

    def sentence(self) -> str:
        return f"one shared, untuned learning rate ({rate(self.lr)}); not a tuned comparison"


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
            return f"{head}: not compared{_without(self.missing)}"
        within = "within" if self.holds else "NOT within"
        line = f"{head} ({', '.join(self.degrees)}): final validation loss differs by at most "
        line += f"{gap(self.final)}: {within} {rate(TOLERANCE)}"
        curves = (("validation", self.validation), ("training", self.training))
        parts = [f"{gap(value)} ({name})" for name, value in curves if value is not None]
        if parts:
            line += f"; along the curves by at most {', '.join(parts)}"
        if self.dropout and not self.holds:
            line += f"; dropout {self.dropout:g} draws other masks at each degree"
        return line + _without(self.missing)


def findings(runs: Sequence[Run]) -> list[Finding]:
    """Everything the runs allow to say, in reading order; empty when nothing is comparable."""
    return [*size_orders(runs), *agreements(runs)]


def size_orders(runs: Sequence[Run]) -> list[Finding]:
    """One SizeOrder per group of runs that differ only in the model, then a shared rate."""
    found = [
        group
        for group in groups(runs, NOT_COMPARED)
        if len({(run.model, run.blocks) for run in group}) > 1
    ]
    if not found:
        return []
    orders: list[Finding] = []
    for group, context in zip(found, contexts(found, NOT_COMPARED), strict=True):
        orders.append(_size_order(group, context))
    rates = {run.settings.get("optim.lr") for group in found for run in group}
    lr = next(iter(rates))
    if len(rates) == 1 and lr is not None:
        orders.append(SharedRate(float(lr)))
    return orders


def agreements(runs: Sequence[Run]) -> list[Finding]:
    """One Agreement per model, over all its groups of runs that differ only in `parallel`."""
    by_model: dict[str, list[list[Run]]] = {}
    found = [g for g in groups(runs, PARALLEL) if len({run.parallel for run in g}) > 1]
    for group in found:
        by_model.setdefault(_label(group[0], [g[0] for g in found]), []).append(group)
    return [_agreement(model, members) for model, members in by_model.items()]


def _size_order(group: Sequence[Run], context: str) -> SizeOrder:
    usable, missing = _split(group)
    counted = all(run.parameters is not None for run in usable)
    sizes = [
        Size(_label(run, group), (run.parameters or 0) if counted else run.blocks, _final(run))
        for run in usable
    ]
    return SizeOrder(context, tuple(sorted(sizes, key=lambda s: (s.parameters, -s.loss))), missing)


def _agreement(model: str, members: Sequence[Sequence[Run]]) -> Agreement:
    usable, missing = zip(*(_split(group) for group in members), strict=True)
    pairs = [
        (a, b) for group in usable for a, b in combinations(group, 2) if a.parallel != b.parallel
    ]
    kept = dict.fromkeys(run.parallel for group in usable if len(group) > 1 for run in group)
    return Agreement(
        model=model,
        degrees=tuple(kept),
        final=_largest(abs(_final(a) - _final(b)) for a, b in pairs),
        validation=_largest(d for a, b in pairs if (d := _gap(a, b, RANKED)) is not None),
        training=_largest(d for a, b in pairs if (d := _gap(a, b, "train/loss")) is not None),
        dropout=float(members[0][0].settings.get("model.dropout") or 0.0),
        missing=tuple(text for texts in missing for text in texts),
    )


def _split(group: Sequence[Run]) -> tuple[list[Run], tuple[str, ...]]:
    """The completed runs with a finite validation loss, and a word on each of the others."""
    usable = [run for run in group if run.status == "completed" and math.isfinite(_final(run))]
    missing = [
        f"{run.name} ({run.status if run.status != 'completed' else 'no validation loss'})"
        for run in group
        if run not in usable
    ]
    return usable, tuple(missing)


def _final(run: Run) -> float:
    value = run.final(RANKED)
    return math.nan if value is None else value


def _gap(a: Run, b: Run, key: str) -> float | None:
    """The largest difference at a step that both have logged; None without such a step."""
    (steps, first), (others, second) = a.curve(key), b.curve(key)
    _, at, there = np.intersect1d(steps, others, assume_unique=True, return_indices=True)
    return float(np.abs(first[at] - second[there]).max()) if len(at) else None


def _largest(values: Iterable[float]) -> float | None:
    return max(values, default=None)


def _label(run: Run, others: Sequence[Run]) -> str:
    """The model's name; with its size where one name stands for several shapes."""
    shapes = {other.blocks for other in others if other.model == run.model}
    size = run.parameters if run.parameters is not None else run.blocks
    return f"{run.model} ({count(size)})" if len(shapes) > 1 else run.model


def _sign(smaller: float, larger: float) -> str:
    return ">" if smaller > larger else "<" if smaller < larger else "="


def _without(missing: Sequence[str]) -> str:
    return f"; without {', '.join(missing)}" if missing else ""
