"""What was swept: the options that differ between runs, those that go together as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydratron.config.keys import carries, marked, options
from hydratron.reporting.differences import (
    PARALLEL,
    SEED,
    SHAPE,
    brought,
    compared,
    follows,
    titles,
)
from hydratron.reporting.formats import settings
from hydratron.reporting.records import Run

START = "init_from"
# Its texts, as the name of the optimizer, are choices to be compared.
TUNED = frozenset(key for key in marked("tuned") if options()[key].kind is not str)


@dataclass(frozen=True)
class Factor:
    """An option that was swept: its key, all keys that follow from it here, its short name.

    `others` are the short names of those that one would not expect to follow: with them changed
    in step, a difference may be theirs.
    """

    key: str
    keys: frozenset[str]
    name: str
    others: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.name} (with {', '.join(self.others)})" if self.others else self.name

    def level(self, run: Run) -> str:
        """The run's value as JSON."""
        return run.texts.get(self.key, "null")

    def labels(self, runs: Sequence[Run]) -> dict[str, str]:
        """What each level of the runs is called: `post`, and `lr 0.003` where it is no name."""
        values = {self.level(run): run.settings.get(self.key) for run in runs}
        named = all(isinstance(value, str) for value in values.values())
        head = "" if named else f"{self.name} "
        texts = settings(list(values.values()))
        return {level: head + text for level, text in zip(values, texts, strict=True)}


def factors(runs: Sequence[Run]) -> list[Factor]:
    """The swept options but the seed, the parallel degree and the size of the model, in the order
    of the configuration.

    What each model brings along (`differences.brought`) is none of them.
    An option that another decides is part of it: decided by a choice, as `optim.beta1` may be by
    `optim.name`, or by a number that changes in step with it.
    """
    differing = compared(runs)
    short = titles(differing)
    apart = SEED.union(brought(runs))
    keys = [key for key in differing if key not in apart and not _of_size_or_degree(runs, key)]
    values = {key: [run.texts.get(key, "null") for run in runs] for key in keys}
    choices = {key for key in keys if _is_choice([run.settings.get(key) for run in runs])}
    owned: dict[str, list[str]] = {}
    # The choices first, those of the most values before those that they decide; the weights that a
    # run starts from before the tokenizer that they bring.
    for key in sorted(keys, key=lambda k: (k not in choices, -len(set(values[k])), k != START)):
        decides = (o for o in owned if _decides(values[o], values[key], o in choices))
        owned.setdefault(next(decides, key), []).append(key)
    return [
        Factor(key, frozenset(owned[key]), short[key], _others(key, owned[key], short))
        for key in sorted(owned, key=keys.index)
    ]


def size_keys(runs: Sequence[Run]) -> frozenset[str]:
    """The keys that differ with the model's size alone."""
    return frozenset(key for key in SHAPE if follows(runs, key, size))


def size(run: Run) -> tuple[str, int]:
    """A model by its name and its weights: one name may stand for several shapes."""
    return run.model, run.blocks


def _of_size_or_degree(runs: Sequence[Run], key: str) -> bool:
    if key.startswith("model.") and follows(runs, key, size):
        return True
    return key in PARALLEL and (carries(key, "axis") or follows(runs, key, lambda r: r.parallel))


def _is_choice(values: Sequence[Any]) -> bool:
    return all(value is None or isinstance(value, str) for value in values)


def _decides(first: Sequence[str], second: Sequence[str], is_choice: bool) -> bool:
    """Whether the first option's value says the second's, and for a number also the reverse.

    A random rate that no two runs share decides nothing.
    """
    pairs = len(set(zip(first, second, strict=True)))
    return pairs == len(set(first)) and (is_choice or pairs == len(set(second)))


def _others(key: str, owned: Sequence[str], short: dict[str, str]) -> tuple[str, ...]:
    """A choice explains the options of its own section."""
    section = key.rpartition(".")[0]
    return tuple(
        short[other]
        for other in owned
        if other != key and not (section and other.startswith(f"{section}."))
    )
