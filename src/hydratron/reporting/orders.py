"""Whether larger models ended lower: sizes compared at equal other options, seed by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from hydratron.config.keys import marked
from hydratron.reporting.comparisons import at_rates, crossed_rates, rate_texts
from hydratron.reporting.differences import SEED, contexts, groups
from hydratron.reporting.factors import TUNED, Factor, factors, size, size_keys
from hydratron.reporting.formats import count, loss, rate
from hydratron.reporting.levels import Level, best_levels, difference, final_loss, missing, without
from hydratron.reporting.records import Run


@dataclass(frozen=True)
class Size:
    """A model size and the final validation losses it reached, by seed."""

    parameters: int
    level: Level


@dataclass(frozen=True)
class SizeOrder:
    """Final validation losses of runs that differ only in the model, the smallest model first.

    `tuned` names the rates that each size has of its own (`best lr`).
    """

    context: str
    sizes: tuple[Size, ...]
    missing: tuple[str, ...] = ()
    tuned: str = ""

    @property
    def seeds(self) -> list[int]:
        """Those of which every size has a loss."""
        shared = [size.level.losses.keys() for size in self.sizes]
        return sorted(set(shared[0]).intersection(*shared)) if shared else []

    @property
    def ordered_in(self) -> list[int] | None:
        """The seeds in which every larger model ended strictly lower; None with nothing to say."""
        pairs = [(a, b) for a, b in combinations(self.sizes, 2) if a.parameters < b.parameters]
        if not pairs or not self.seeds:
            return None
        return [
            seed
            for seed in self.seeds
            if all(a.level.losses[seed] > b.level.losses[seed] for a, b in pairs)
        ]

    @property
    def holds(self) -> bool | None:
        return None if self.ordered_in is None else self.ordered_in == self.seeds

    def sentence(self) -> str:
        # Over the common seeds, so that means and differences say the same.
        levels = [s.level.over(self.seeds) if self.seeds else s.level for s in self.sizes]
        texts = [f"{level} {loss(level.mean)}" for level in levels]
        line = texts[0] if texts else "no model has a final validation loss"
        for (smaller, larger), text in zip(pairwise(levels), texts[1:], strict=True):
            line += f" {_sign(smaller.mean, larger.mean)} {text}"
        head = f"sizes, {self.context}" if self.context else "sizes"
        head += f", each at its {self.tuned}" if self.tuned else ""
        return f"{head}: {line}: {self._verdict(levels)}{without(self.missing)}"

    def _verdict(self, levels: Sequence[Level]) -> str:
        if self.ordered_in is None:
            return "not compared"
        n, told = len(self.seeds), "ordered, the larger the lower" if self.holds else "NOT ordered"
        if n == 1:
            return told
        of = f"in each of {n}" if self.holds else f"in {n - len(self.ordered_in)} of {n}"
        steps = ", ".join(difference(b.minus(a)) for a, b in pairwise(levels))
        return f"{told} {of} seeds; from each to the next {steps}"


@dataclass(frozen=True)
class SharedRate:
    """All compared sizes were trained with one learning rate."""

    lr: float
    holds: None = None

    def sentence(self) -> str:
        return f"one shared, untuned learning rate ({rate(self.lr)}); not a tuned comparison"


def size_orders(runs: Sequence[Run]) -> list[SizeOrder | SharedRate]:
    """One SizeOrder per group of runs that differ in model, seed and rates, then a shared rate."""
    rates = [factor for factor in factors(runs) if factor.key in TUNED]
    ignored = SEED.union(size_keys(runs), marked("per_degree"), *(r.keys for r in rates))
    found = [group for group in groups(runs, ignored) if len(set(map(size, group))) > 1]
    orders: list[SizeOrder | SharedRate] = [
        _size_order(group, context, rates)
        for group, context in zip(found, contexts(found, ignored), strict=True)
    ]
    used = {run.settings.get("optim.lr") for group in found for run in group}
    lr = next(iter(used), None)
    if len(used) == 1 and lr is not None:
        orders.append(SharedRate(float(lr)))
    return orders


def _size_order(group: Sequence[Run], context: str, rates: Sequence[Factor]) -> SizeOrder:
    crossed = crossed_rates(group, rates)
    labels = model_labels(group)
    settings = rate_texts(group, crossed)
    levels = best_levels(group, labels, settings)
    ended = [
        (label, run)
        for label, run in zip(labels, group, strict=True)
        if final_loss(run) is not None
    ]
    counted = all(run.parameters is not None for _, run in ended)
    weights = {label: (run.parameters or 0) if counted else run.blocks for label, run in ended}
    sizes = [Size(weights[level.label], level) for level in levels if level.losses]
    return SizeOrder(
        context,
        tuple(sorted(sizes, key=lambda s: (s.parameters, -s.level.mean))),
        missing(group),
        at_rates(crossed, labels, settings),
    )


def model_labels(runs: Sequence[Run]) -> list[str]:
    """The models' names; with their sizes where one name stands for several shapes."""
    shapes = Counter(name for name, _ in set(map(size, runs)))
    return [
        f"{run.model} ({count(run.parameters if run.parameters is not None else run.blocks)})"
        if shapes[run.model] > 1
        else run.model
        for run in runs
    ]


def _sign(smaller: float, larger: float) -> str:
    return ">" if smaller > larger else "<" if smaller < larger else "="
