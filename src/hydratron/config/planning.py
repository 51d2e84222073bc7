"""What `hydratron plan` takes for granted: its defaults and its short forms."""

from __future__ import annotations

from collections.abc import Sequence

# What the paper trained with, where the command does not say: its batch and no data.
DEFAULTS = {
    "trainer": "paper",
    "tokenizer": "wordpiece",
    "launch": "torchrun",
    "logger": "none",
}


def plan_overrides(overrides: Sequence[str]) -> list[str]:
    """The overrides of `hydratron plan` as those of a training.  Twice is the same as once."""
    spelled = [_spelled_out(override) for override in overrides]
    typed = {override.partition("=")[0].lstrip("+") for override in spelled}
    chosen = [f"{group}={name}" for group, name in DEFAULTS.items() if group not in typed]
    return [*chosen, *spelled]


def _spelled_out(override: str) -> str:
    """`full=true` is short for `plan.full=true`."""
    return f"plan.{override}" if override.startswith("full=") else override
