"""Errors written for the person who reads them: the key, the value, what would be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def inert(text: str) -> str:
    """The text for a terminal: what would move its cursor or colour it is shown, not done."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


class HydratronError(Exception):
    """A failure that the command line shows as its message alone, without a traceback."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a configuration or with the data it names."""

    key: str
    value: object
    expected: str

    def __str__(self) -> str:
        shown = self.key if self.value == "" else f"{self.key}={self.value}"
        return f"{shown}: {self.expected}"


class ConfigError(HydratronError):
    """Every problem of a configuration at once, one per line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class DataError(ConfigError):
    """The text, token file or tokenizer that a configuration names cannot be used."""


class JobError(HydratronError):
    """A job whose ranks did not all finish."""
