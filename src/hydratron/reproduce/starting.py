"""Sweeps of a stage that starts from the jobs of another: each of them once for each such job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydratron.config.command import PlannedJob
from hydratron.config.keys import options, value_of
from hydratron.errors import HydratronError
from hydratron.job import JobFolder

FIELD = re.compile(r"\{([a-z_.]+)\}")
TOKENIZER = "tokenizer.json"


def started(
    lines: Sequence[tuple[str, ...]], jobs: Sequence[tuple[PlannedJob, Path]]
) -> Iterator[tuple[str, ...]]:
    """The overrides `lines` filled in for each job that completed: `{job}` is its folder,
    `{tokenizer}` the file beside its newest weights, `{KEY}` an option of its configuration.

    Raises HydratronError for another word in braces.
    """
    for job, folder in jobs:
        checkpoint = JobFolder(folder).newest_checkpoint()
        if JobFolder(folder).status() != "completed" or checkpoint is None:
            continue
        known = {"job": str(folder), "tokenizer": str(checkpoint / TOKENIZER)}
        for line in lines:
            yield tuple(_filled(override, job, known) for override in line)


def _filled(override: str, job: PlannedJob, known: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in known and name not in options():
            expected = f"one of {', '.join(known)} or an option"
            raise HydratronError(f"{override}: {{{name}}}: {expected} is expected in braces")
        return known[name] if name in known else str(value_of(job.config, name))

    return FIELD.sub(value, override)
