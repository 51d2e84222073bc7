"""What each swept option did to how runs ended: its levels, compared seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hydratron.reporting.differences import SEED, brought, contexts, groups
from hydratron.reporting.estimate import Estimate
from hydratron.reporting.factors import TUNED, Factor, factors
from hydratron.reporting.levels import Level, best_levels, difference, missing, without
from hydratron.reporting.metrics import Metric
from hydratron.reporting.ranking import ranked_by
from hydratron.reporting.records import Run

OTHER_TEXT = ("data.", "tokenizer.")


@dataclass(frozen=True)
class Comparison:
    """The levels of one option, the best first, where all other options are equal.

    `tuned` names the rates that each level has of its own (`best lr`), `context` the place in the
    sweep; `starts` is what else each has of its own, and `caveat` what else one has to know.
    """

    option: str
    levels: tuple[Level, ...]
    context: str = ""
    tuned: str = ""
    starts: str = ""
    missing: tuple[str, ...] = ()
    caveat: str = ""

    holds: None = None

    @property
    def differences(self) -> list[Estimate]:
        """By how much each other level is worse than the best, by their common seeds."""
        best, *others = self.levels
        return [level.behind(best) for level in others]

    def sentence(self) -> str:
        """The answer, then the differences with their 95 % intervals."""
        best, *others = self.levels
        found = [(level, d) for level, d in zip(others, self.differences, strict=True) if d.n]
        head = ", ".join(filter(None, [self.option, self.context, self.starts]))
        head += f", each at its {self.tuned}" if self.tuned else ""
        if not found:
            return f"{head}: not compared{without(self.missing)}"
        level, _ = found[0]
        low = best.by.lower_is_better
        close = [str(level) for level, d in found if not (d.interval or (d.value,))[0] > 0]
        if close:
            answer = f"{best} is not told apart from {' and '.join(close)}"
        elif len(found) > 1:
            answer = f"{best} ends {'lowest' if low else 'highest'}, at {best.shown}"
        else:
            answer = f"{best} ends {'lower' if low else 'higher'} than {level}"
        pairs = [((level, best) if low else (best, level), d) for level, d in found]
        gaps = ", ".join(f"{a.label} - {b.label} {difference(d)}" for (a, b), d in pairs)
        line = f"{head}: {answer}: {best.by.name} {gaps}, {_seeds([d.n for _, d in found])}"
        return line + self.caveat + without(self.missing)


def comparisons(runs: Sequence[Run]) -> list[Comparison]:
    """One for each swept option and each setting of the others, in the order of the options.

    First those with each level at its best rate, then those at equal rates, where rates were
    crossed with anything.
    """
    swept, by = factors(runs), ranked_by(runs)
    tuned = [factor for factor in swept if factor.key in TUNED]
    best: list[Comparison] = []
    equal: list[Comparison] = []
    for factor in swept:
        rates = [other for other in tuned if other is not factor]
        best += _compared(runs, factor, rates, by)
        if any(comparison.tuned for comparison in best if comparison.option == factor.title):
            equal += _compared(runs, factor, [], by)
    return [*best, *equal]


def _compared(
    runs: Sequence[Run], factor: Factor, rates: Sequence[Factor], by: Metric
) -> list[Comparison]:
    ignored = SEED.union(factor.keys, brought(runs), *(rate.keys for rate in rates))
    labels = factor.labels(runs)
    found = [g for g in groups(runs, ignored) if len({factor.level(run) for run in g}) > 1]
    return [
        _comparison(group, context, factor, labels, rates, by)
        for group, context in zip(found, contexts(found, ignored), strict=True)
    ]


def _comparison(
    group: Sequence[Run],
    context: str,
    factor: Factor,
    labels: dict[str, str],
    rates: Sequence[Factor],
    by: Metric,
) -> Comparison:
    crossed = crossed_rates(group, rates)
    named, settings = [labels[factor.level(run)] for run in group], rate_texts(group, crossed)
    levels = best_levels(group, named, settings, by)
    other_text = factor.key.startswith(OTHER_TEXT)
    return Comparison(
        factor.title,
        tuple(levels),
        context,
        at_rates(crossed, named, settings),
        own_starts(group),
        missing(group, by),
        "; their validation text or tokens differ too" if other_text else "",
    )


def own_starts(group: Sequence[Run]) -> str:
    """What each of the compared has of its own; weights bring their tokenizer along."""
    return next(iter(brought(group).values()), "")


def crossed_rates(group: Sequence[Run], rates: Sequence[Factor]) -> list[Factor]:
    """The rates of which the runs have several values."""
    return [rate for rate in rates if len({rate.level(run) for run in group}) > 1]


def at_rates(crossed: Sequence[Factor], labels: Sequence[str], settings: Sequence[str]) -> str:
    """`best lr` where a level has several to choose from, `own lr` where each has one."""
    names = " and ".join(rate.name for rate in crossed)
    several = len(set(zip(labels, settings, strict=True))) > len(set(labels))
    return f"{'best' if several else 'own'} {names}" if names else ""


def rate_texts(group: Sequence[Run], crossed: Sequence[Factor]) -> list[str]:
    """`lr 0.003, warmup_steps 20` for each run; empty where nothing was crossed."""
    labels = [rate.labels(group) for rate in crossed]
    return [
        ", ".join(text[rate.level(run)] for rate, text in zip(crossed, labels, strict=True))
        for run in group
    ]


def _seeds(counts: Sequence[int]) -> str:
    """`3 seeds`, `2 to 3 seeds`; a single one allows no interval."""
    if max(counts) == 1:
        return "one seed, so no interval"
    least = f"{min(counts)} to " if min(counts) < max(counts) else ""
    return f"{least}{max(counts)} seeds"
