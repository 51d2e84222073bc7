"""Whether larger models ended better: sizes compared at equal other options, seed by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from hydratron.config.keys import marked
from hydratron.reporting.comparisons import at_rates, crossed_rates, own_starts, rate_texts
from hydratron.reporting.differences import SEED, brought, contexts, groups
from hydratron.reporting.factors import TUNED, Factor, factors, size, size_keys
from hydratron.reporting.formats import count, rate
from hydratron.reporting.levels import Level, best_levels, difference, final, missing, without
from hydratron.reporting.metrics import Metric
from hydratron.reporting.ranking import rank, ranked_by
from hydratron.reporting.records import Run


@dataclass(frozen=True)
class Size:
    """A model size and what it reached, by seed."""

    parameters: int
    level: Level


@dataclass(frozen=True)
class SizeOrder:
    """What runs that differ only in the model reached, the smallest model first.

    `tuned` names the rates that each size has of its own (`best lr`), `starts` what else it has.
    """

    context: str
    sizes: tuple[Size, ...]
    missing: tuple[str, ...] = ()
    tuned: str = ""
    starts: str = ""

    @property
    def seeds(self) -> list[int]:
        """Those of which every size has a value."""
        shared = [size.level.finals.keys() for size in self.sizes]
        return sorted(set(shared[0]).intersection(*shared)) if shared else []

    @property
    def ordered_in(self) -> list[int] | None:
        """The seeds in which every larger model ended strictly better; None with nothing to say."""
        pairs = [(a, b) for a, b in combinations(self.sizes, 2) if a.parameters < b.parameters]
        if not pairs or not self.seeds:
            return None
        return [
            seed for seed in self.seeds if all(_better(b.level, a.level, seed) for a, b in pairs)
        ]

    @property
    def holds(self) -> bool | None:
        return None if self.ordered_in is None else self.ordered_in == self.seeds

    def sentence(self) -> str:
        # Over the common seeds, so that means and differences say the same.
        levels = [s.level.over(self.seeds) if self.seeds else s.level for s in self.sizes]
        texts = [f"{level} {level.shown}" for level in levels]
        line = texts[0] if texts else "no model has a final value"
        for (smaller, larger), text in zip(pairwise(levels), texts[1:], strict=True):
            line += f" {_sign(smaller.mean, larger.mean)} {text}"
        head = ", ".join(filter(None, ["sizes", self.context, self.starts]))
        head += f", each at its {self.tuned}" if self.tuned else ""
        return f"{head}: {line}: {self._verdict(levels)}{without(self.missing)}"

    def _verdict(self, levels: Sequence[Level]) -> str:
        if self.ordered_in is None:
            return "not compared"
        end = "lower" if levels[0].by.lower_is_better else "higher"
        n, told = len(self.seeds), f"ordered, the larger the {end}" if self.holds else "NOT ordered"
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
    alike = (size_keys(runs), marked("per_degree"), brought(runs))
    ignored = SEED.union(*alike, *(rate.keys for rate in rates))
    found, by = [g for g in groups(runs, ignored) if len(set(map(size, g))) > 1], ranked_by(runs)
    orders: list[SizeOrder | SharedRate] = [
        _size_order(group, context, rates, by)
        for group, context in zip(found, contexts(found, ignored), strict=True)
    ]
    used = {run.settings.get("optim.lr") for group in found for run in group}
    lr = next(iter(used), None)
    if len(used) == 1 and lr is not None:
        orders.append(SharedRate(float(lr)))
    return orders


def _size_order(
    group: Sequence[Run], context: str, rates: Sequence[Factor], by: Metric
) -> SizeOrder:
    crossed = crossed_rates(group, rates)
    labels = model_labels(group)
    settings = rate_texts(group, crossed)
    levels = best_levels(group, labels, settings, by)
    ended = [
        (label, run) for label, run in zip(labels, group, strict=True) if final(run, by) is not None
    ]
    counted = all(run.parameters is not None for _, run in ended)
    weights = {label: (run.parameters or 0) if counted else run.blocks for label, run in ended}
    sizes = [Size(weights[level.label], level) for level in levels if level.finals]
    return SizeOrder(
        context,
        tuple(sorted(sizes, key=lambda s: (s.parameters, -rank(s.level.mean, by)))),
        missing(group, by),
        at_rates(crossed, labels, settings),
        own_starts(group),
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


def _better(level: Level, than: Level, seed: int) -> bool:
    one, other = (rank(found.finals[seed], found.by) for found in (level, than))
    return one < other


def _sign(smaller: float, larger: float) -> str:
    return ">" if smaller > larger else "<" if smaller < larger else "="
