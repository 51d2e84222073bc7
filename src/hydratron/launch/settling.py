"""A command's jobs and those that its folder holds: which are the same, and what is new."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hydratron.config.identity import identity
from hydratron.config.load import load, to_yaml
from hydratron.config.schema import Config
from hydratron.errors import ConfigError, JobError
from hydratron.job import JobFolder
from hydratron.launch.attempt import finished, verb_of

if TYPE_CHECKING:
    from hydratron.config.command import Command, PlannedJob


@dataclass(frozen=True)
class Held:
    """A job of the folder: its name there, and what it is."""

    name: str
    config: Config
    overrides: Sequence[str]

    @cached_property
    def identity(self) -> str:
        return key_of(self.config)


def settle(planned: Command, verb: str) -> tuple[Command, list[dict[str, Any] | None]]:
    """The command with each job in the folder that is its own already, and the results in them.

    A job is recognised by its configuration, not by its place in the sweep or its name: what was
    reordered, inserted or taken away leaves the others where they are.  The result is None for a
    job that is still to be run.  A new job whose name another job has gets one that says what
    differs; where both were asked for in the same words, it is the surroundings that have changed,
    and the folder stays as it is.  Raises JobError with one line for each folder of another job.
    """
    if planned.fresh or planned.open_ended:
        return planned, [None for _ in planned.jobs]
    if not planned.own_folder:
        planned = replace(planned, jobs=_placed(planned.jobs, _held(planned.folder, verb)))
    results, taken = [], []
    for job, folder in zip(planned.jobs, planned.job_folders(planned.folder), strict=True):
        try:
            results.append(finished(job.config, folder, verb))
        except JobError as error:
            taken.append(str(error))
    if taken:
        raise JobError("\n".join(taken))
    return planned, results


def key_of(config: Config) -> str:
    """Equal for configurations of the same job."""
    return json.dumps(identity(config), sort_keys=True)


def _held(folder: Path, verb: str) -> dict[str, Held]:
    """The jobs of the folder that can be read, by name."""
    found = {}
    for path in sorted(folder.glob("*/config.yaml")):
        job = JobFolder(path.parent)
        try:
            if verb_of(job) != verb:
                continue
            config = load(job.config)
            overrides = yaml.safe_load(job.overrides.read_text(encoding="utf-8"))
        except (ConfigError, OSError, ValueError, yaml.YAMLError):
            continue  # Whatever it is, `finished` answers for a folder that a job of ours needs.
        found[job.name] = Held(job.name, config, overrides)
    return found


def _placed(jobs: Sequence[PlannedJob], held: dict[str, Held]) -> list[PlannedJob]:
    """Each job under the name that it has in the folder, or under a new one."""
    keys = [key_of(job.config) for job in jobs]
    same: dict[str, list[Held]] = {key: [] for key in keys}
    for found in held.values():
        if found.identity in same:
            same[found.identity].append(found)
    names: list[str | None] = [None] * len(jobs)
    # Jobs that only bookkeeping tells apart are the same job; each still finds its own first.
    for exact in (True, False):
        for place, (job, key) in enumerate(zip(jobs, keys, strict=True)):
            mine = [found for found in same[key] if not exact or _exactly(job, found)]
            if names[place] is None and mine:
                names[place] = mine[0].name
                same[key].remove(mine[0])
    taken = {*held, *(name for name in names if name)}
    placed = []
    for job, name in zip(jobs, names, strict=True):
        settled = _new(job, held, taken) if name is None else replace(job, name=name)
        taken.add(settled.name)
        placed.append(settled)
    return placed


def _exactly(job: PlannedJob, found: Held) -> bool:
    """Whether they agree in bookkeeping too, but for the tokens, which are found later."""
    data = replace(found.config.data, prepared=job.config.data.prepared)
    return found.name == job.name or to_yaml(replace(found.config, data=data)) == to_yaml(
        job.config
    )


def _new(job: PlannedJob, held: dict[str, Held], taken: set[str]) -> PlannedJob:
    """The job under a name that is free, or under its own where it must not be renamed."""
    named = job
    while named.name in taken:
        other = held.get(named.name)
        if other is not None and list(other.overrides) == job.overrides:
            return job
        renamed = named.beside(other.config if other is not None else job.config)
        if renamed.name == named.name:
            return job
        named = renamed
    return named
