"""What `hydratron plan` takes for granted: its defaults and its short forms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hydratron.errors import ConfigError, Problem

# What the paper trained with, where the command does not say: its batch and no data.
DEFAULTS = {
    "trainer": "paper",
    "tokenizer": "wordpiece",
    "launch": "torchrun",
    "logger": "none",
}

# Sections of the configuration that no other verb reads.
SECTIONS = ("cluster", "plan")


def of_plan(override: str) -> bool:
    """Whether an override, or its key alone, is one that only a plan reads."""
    return override.lstrip("+~").partition("=")[0].partition(".")[0] in SECTIONS


def refuse_sections(overrides: Sequence[str]) -> None:
    """Raise ConfigError for overrides that only a plan reads: a training would ignore them."""
    problems = []
    for override in overrides:
        key, _, value = override.partition("=")
        if of_plan(key):
            problems.append(Problem(key, value, "is read by `hydratron plan` alone"))
    if problems:
        raise ConfigError(problems)


def refuse_backends(backends: Iterable[str]) -> None:
    """Raise ConfigError for what a plan knows nothing of: what DTensor sends, nobody wrote down."""
    if "dtensor" in backends:
        expected = "what it sends is not planned; explicit"
        raise ConfigError([Problem("parallel.backend", "dtensor", expected)])


def plan_overrides(overrides: Sequence[str]) -> list[str]:
    """The overrides of `hydratron plan` as those of a training.  Twice is the same as once.

    Raises ConfigError for a backend that is not planned, before what else it does not go with.
    """
    spelled = [_spelled_out(override) for override in overrides]
    values = (override.lstrip("+").partition("=") for override in spelled)
    refuse_backends(value for key, _, value in values if key == "parallel.backend")
    typed = {override.partition("=")[0].lstrip("+") for override in spelled}
    chosen = [f"{group}={name}" for group, name in DEFAULTS.items() if group not in typed]
    return [*chosen, *spelled]


def _spelled_out(override: str) -> str:
    """`full=true` is short for `plan.full=true`."""
    return f"plan.{override}" if override.startswith("full=") else override
