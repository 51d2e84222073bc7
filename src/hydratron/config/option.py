"""One option of a job: its default, meaning, unit and bounds, as a dataclass field."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def option(
    default: Any,
    meaning: str,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field with its meaning and its bounds (`minimum` and `maximum` inclusive, `above` not)."""
    bounds = {"minimum": minimum, "above": above, "maximum": maximum, "choices": choices}
    metadata = {"meaning": meaning} | {k: v for k, v in bounds.items() if v is not None}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
