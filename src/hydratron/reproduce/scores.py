"""Evaluations of a profile's jobs: what is scored, what is scored already, and what came out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hydratron.errors import HydratronError
from hydratron.hashing import file_sha256
from hydratron.job import JobFolder
from hydratron.reporting.evaluations import read_evaluations
from hydratron.reporting.records import Run
from hydratron.reproduce.overlap import Overlap

DIVERGED = "diverged"


@dataclass(frozen=True)
class Scored:
    """One task's file, and the jobs that are scored on it."""

    task: str
    data: Path
    jobs: tuple[Path, ...]

    @cached_property
    def sha256(self) -> str:
        return file_sha256(self.data) if self.data.is_file() else ""

    def record(self, job: Path) -> dict[str, Any] | None:
        """The evaluation of the job's newest checkpoint on this file; None where there is none."""
        newest = JobFolder(job).newest_checkpoint()
        for record in read_evaluations(job):
            same = (record["task"], record.get("sha256")) == (self.task, self.sha256)
            if same and newest is not None and record["checkpoint"]["name"] == newest.name:
                return record
        return None

    @property
    def trained(self) -> list[Path]:
        """The jobs but those that diverged, whose last checkpoint is of another time."""
        return [job for job in self.jobs if JobFolder(job).status() != DIVERGED]

    @property
    def left(self) -> list[Path]:
        """The jobs that are still to be scored."""
        return [job for job in self.trained if self.record(job) is None]


def scored(flags: Sequence[str], jobs: Sequence[Path]) -> Scored:
    """What a command of `hydratron evaluate` scores; HydratronError without a task or a file."""
    named = dict(flag.removeprefix("--").split("=", 1) for flag in flags if "=" in flag)
    if not {"task", "data"} <= named.keys():
        told = " ".join(flags)
        raise HydratronError(f"a sweep that evaluates needs --task=T and --data=FILE: {told}")
    return Scored(named["task"], Path(named["data"]), tuple(jobs))


def with_scores(runs: Iterable[Run], tasks: Sequence[Scored]) -> list[Run]:
    """The runs with the metrics `eval/TASK/NAME` of their evaluations, and `overlap/TASK`.

    The latter is the share of the test file's 8-grams that the run's training text has.
    """
    overlap = Overlap()
    return [_with(run, tasks, overlap) for run in runs]


def _with(run: Run, tasks: Sequence[Scored], overlap: Overlap) -> Run:
    metrics: dict[str, float] = {}
    records = []
    for one in tasks:
        record = one.record(run.folder) if run.status != DIVERGED else None
        if record is None:
            continue
        records.append(record)
        metrics |= {f"eval/{one.task}/{name}": v for name, v in record["metrics"].items()}
        tokens = run.settings.get("data.prepared")
        if tokens is not None:
            metrics[f"overlap/{one.task}"] = overlap.share(Path(tokens), one.task, one.data)
    return replace(run, evaluated=metrics, evaluations=records)
