"""Job folders as records."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hydratron.config import plain_yaml
from hydratron.config.keys import marked
from hydratron.errors import HydratronError
from hydratron.job import JobFolder, flatten, read_json
from hydratron.locks import is_held
from hydratron.reporting.evaluations import compared
from hydratron.reporting.rows import Row, Rows, read_metrics

BROKEN = ("failed", "diverged")
UNDER_WAY = ("running", "unfinished")
# The verb whose folders are like a job's and never ran, and their status.
CONVERT, CONVERTED = "convert", "converted"
# Without a lock to ask, a job that logs more rarely reads as unfinished until its next row.
RECENT_SECONDS = 300.0


@dataclass(frozen=True)
class Run:
    """One job as its folder tells it, in whatever state it is; files not there yet are empty."""

    folder: Path
    settings: dict[str, Any]
    """The configuration with dotted keys: `model.num_layers` -> 4."""
    rows: Sequence[Row] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    failure: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    evaluated: dict[str, float] = field(default_factory=dict)
    """Metrics `eval/TASK/NAME` of its newest checkpoint, as far as `compared` lets them stand."""
    evaluations: Sequence[dict[str, Any]] = ()
    """The evaluation.json that these come from."""
    alive: bool = False
    """Whether its processes still run, as far as the folder tells."""

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def sweep(self) -> str:
        return JobFolder(self.folder).sweep

    @property
    def status(self) -> str:
        """`completed`, `failed`, `preempted` or `diverged`; without a result `running` where its
        processes are, else `unfinished`; `converted` for a model that came from elsewhere."""
        if self.result:
            return str(self.result.get("status", "unfinished"))
        if self.failure:
            return "failed"
        if self.provenance.get("verb") == CONVERT:
            return CONVERTED
        return "running" if self.alive else "unfinished"

    @cached_property
    def texts(self) -> dict[str, str]:
        """The settings as JSON, which tells 1 from true and can be compared and hashed."""
        return {k: json.dumps(v, sort_keys=True, default=str) for k, v in self.settings.items()}

    @property
    def model(self) -> str:
        return str(self.settings.get("model.name", "model"))

    @property
    def sizes(self) -> dict[str, int]:
        """The degree of each parallel axis, {"tp": 2, ...}; their product counts the ranks."""
        return {axis: int(self.settings.get(key, 1)) for key, axis in marked("axis").items()}

    @property
    def parallel(self) -> str:
        """The label of the configuration: `single`, `tp2`, `tp2_dp4`."""
        return "_".join(f"{axis}{n}" for axis, n in self.sizes.items() if n > 1) or "single"

    @property
    def seed(self) -> int | None:
        return self.settings.get("seed")

    @property
    def parameters(self) -> int | None:
        counted = self.result.get("parameters")
        return None if counted is None else int(counted)

    @property
    def blocks(self) -> int:
        """Weights of the transformer blocks by configuration: orders models before any result."""
        layers = self.settings.get("model.num_layers") or 0
        return int(12 * layers * (self.settings.get("model.hidden_size") or 0) ** 2)

    @property
    def cause(self) -> str | None:
        """Why the run failed or counts as diverged, in one line, or None."""
        if self.status == "diverged":
            return self.result.get("reason")
        if self.status != "failed":
            return None
        said = self.failure or self.result
        lines = str(said.get("message", "")).strip().splitlines()
        text = ": ".join([str(said.get("kind", "no failure.json")), *lines[:1]])
        known = (key for key in ("rank", "step") if self.failure.get(key) is not None)
        where = [f"{key} {self.failure[key]}" for key in known]
        return f"{text} ({', '.join(where)})" if where else text

    def final(self, key: str) -> float | None:
        """The value in the result, else the last logged one, even if it is nan; None without."""
        if key in self.evaluated:
            return self.evaluated[key]
        if self.result.get(key) is not None:
            return float(self.result[key])
        if isinstance(self.rows, Rows):
            return self.rows.last(key)
        logged = (row[key] for row in reversed(self.rows) if row.get(key) is not None)
        value = next(logged, None)
        return None if value is None else float(value)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What the rows have logged, in order of appearance."""
        if isinstance(self.rows, Rows):
            return self.rows.keys
        return tuple(dict.fromkeys(chain.from_iterable(self.rows)))

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """The rows as one float array per key, nan where a row lacks it; keys of texts left out."""
        if isinstance(self.rows, Rows):
            return self.rows.columns
        found = {}
        for key in self.keys:
            try:
                found[key] = np.array([row.get(key) for row in self.rows], dtype=float)
            except (TypeError, ValueError):
                continue
        return found

    def curve(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and finite values of one metric, `[n]` each; the later value of a step counts."""
        steps, values = self.columns.get("step"), self.columns.get(key)
        if steps is None or values is None:
            return np.array([]), np.array([])
        known = np.isfinite(values)
        steps, values = steps[known][::-1], values[known][::-1]
        unique, at = np.unique(steps, return_index=True)
        return unique, values[at]


def read_runs(folders: Path | str | Sequence[Path | str]) -> list[Run]:
    """Every job of the folders, each of which is a job folder or holds job folders.

    Raises HydratronError for a folder without jobs and for a file that cannot be read.
    """
    with ThreadPoolExecutor() as readers:
        return listed(list(readers.map(read_run, find_jobs(folders))))


def listed(runs: Sequence[Run]) -> list[Run]:
    """The runs with their evaluations; a converted model is one where it has some, or is all."""
    found = compared(runs)
    return [run for run in found if run.status != CONVERTED or run.evaluations] or found


def find_jobs(folders: Path | str | Sequence[Path | str]) -> list[Path]:
    """The job folders among and in the folders, each once; HydratronError for one without any."""
    listed = [folders] if isinstance(folders, Path | str) else list(folders)
    jobs: dict[Path, Path] = {}
    for folder in map(Path, listed):
        found = [folder] if _is_job(folder) else sorted(p for p in folder.glob("*") if _is_job(p))
        if not found:
            raise HydratronError(f"{folder}: holds no job folder (one with a config.yaml)")
        jobs |= {path.resolve(): path for path in found}
    if not jobs:
        raise HydratronError("no folder to report on")
    return list(jobs.values())


def read_run(path: Path) -> Run:
    """One job folder; HydratronError for a file that cannot be read."""
    job = JobFolder(path)
    return Run(
        folder=path,
        settings=flatten(_read_yaml(job.config)),
        rows=read_metrics(job.metrics),
        result=_read_object(job.result),
        failure=_read_object(job.failure),
        provenance=_read_object(job.provenance),
        alive=is_alive(job),
    )


def is_alive(job: JobFolder) -> bool:
    """Whether somebody holds the job's lock; where nobody can tell, whether it logged lately."""
    held = is_held(job.lock)
    if held is not None:
        return held
    path = job.metrics
    # Of the future no more than of the past: clocks of two machines differ.
    return path.exists() and abs(time.time() - path.stat().st_mtime) < RECENT_SECONDS


def _is_job(path: Path) -> bool:
    return JobFolder(path).config.is_file()


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = plain_yaml.read(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HydratronError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise HydratronError(f"{path}: is not a configuration (key: value lines)")
    return content


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return read_json(path) or {}
    except ValueError as error:
        raise HydratronError(f"{path}: is not JSON: {error}") from error
