"""One option of a job: its default, meaning, unit, bounds and marks, as a dataclass field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, TypedDict, Unpack


class Marks(TypedDict, total=False):
    """What resumes, reports and labels have to know of an option, or of all in a section."""

    fixed: bool  # no checkpoint can be loaded across a change: a resume may not make one
    bookkeeping: bool  # files, processes, how often is measured: changes nothing that is learned
    distinct: bool  # bookkeeping, but with another value it is another job
    derived: bool  # follows from other options: no difference between jobs
    path: bool  # a file or a folder, or several: a leading ~ is the home folder
    size: bool  # set by the model's size; the model's other options are variants
    tuned: bool  # the recipe: variants are compared at the best of its numbers
    axis: str  # the degree of a parallel axis, which has these letters in labels
    per_degree: bool  # belongs to the parallel degree, though it is none
    formerly: dict[str, str]  # what older files and commands say, as text -> what it is now


def option(
    default: Any,
    meaning: str,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    **marks: Unpack[Marks],
) -> Any:
    """A field with its meaning and its bounds (`minimum` and `maximum` inclusive, `above` not)."""
    bounds = {"minimum": minimum, "above": above, "maximum": maximum, "choices": choices}
    known = {k: v for k, v in bounds.items() if v is not None}
    metadata = {"meaning": meaning, "bounds": known, "marks": marks}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def section(kind: Callable[[], Any], **marks: Unpack[Marks]) -> Any:
    """A field of options, all of which carry the marks."""
    return field(default_factory=kind, metadata={"marks": marks})
