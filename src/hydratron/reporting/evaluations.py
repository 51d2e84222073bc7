"""The evaluations of jobs, for tables of runs: of a task those alone that can be compared.

`hydratron evaluate` leaves one folder each beside a job's checkpoints.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydratron.job import JobFolder, read_json

if TYPE_CHECKING:
    from hydratron.reporting.records import Run

Record = dict[str, Any]


def read_evaluations(job: Path) -> list[Record]:
    """Every evaluation.json of a job that can be read, of the latest step first."""
    found = []
    for path in sorted(JobFolder(job).checkpoints.glob("evaluations/*/evaluation.json")):
        try:
            record = read_json(path)
        except (OSError, ValueError):
            continue
        if record and _whole(record):
            found.append(record)
    return sorted(found, key=_newness, reverse=True)


def _whole(record: Any) -> bool:
    """Whether it has what the tables ask of it, in their types."""
    try:
        _newness(record), _kind(record)
        numbers = [float(value) for value in record["metrics"].values()]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return False
    return bool(numbers) and isinstance(record["task"], str)


def compared(runs: Sequence[Run]) -> list[Run]:
    """The runs with the metrics of their evaluations.

    Perplexities on different files or by different protocols say nothing beside each other: of
    each task the file and protocol stands that most runs have; on a tie the official, then the
    latest one.  A run has the numbers of its latest checkpoint.
    """
    by_run = {run.folder: read_evaluations(run.folder) for run in runs}
    count = Counter(kind for records in by_run.values() for kind in set(map(_kind, records)))

    def standing(record: Record) -> tuple[int, bool, tuple[int, str]]:
        return count[_kind(record)], bool(record.get("official")), _newness(record)

    chosen: dict[str, str] = {}
    everything = (record for records in by_run.values() for record in records)
    for record in sorted(everything, key=standing, reverse=True):
        chosen.setdefault(record["task"], _kind(record))
    return [_with(run, by_run[run.folder], chosen) for run in runs]


def evaluation_notes(runs: Sequence[Run]) -> list[str]:
    """On what the evaluated runs were scored, a line a task."""
    notes = {}
    for record in (record for run in runs for record in run.evaluations):
        what = "official" if record.get("official") else "not the task's whole file"
        what = "" if record["task"] == "perplexity" else f", {what}"
        notes[record["task"]] = f"{record['task']}: scored on {record.get('file')}{what}"
        if harness := record["protocol"].get("harness"):
            some = record["protocol"].get("limit")
            what = f", the first {some} documents of each task" if some else ""
            notes[record["task"]] = f"{record['task']}: scored by {harness}{what}"
    return [notes[task] for task in sorted(notes)]


def _with(run: Run, records: Sequence[Record], chosen: dict[str, str]) -> Run:
    stand = [record for record in records if _kind(record) == chosen[record["task"]]]
    found: dict[str, float] = {}
    for record in stand:  # The latest step first.
        for name, value in record["metrics"].items():
            found.setdefault(f"eval/{record['task']}/{name}", float(value))
    if (found, stand) == (run.evaluated, [*run.evaluations]):
        return run
    return replace(run, evaluated=found, evaluations=stand)


def _kind(record: Record) -> str:
    """What must be the same for two evaluations of a task to be compared."""
    return json.dumps([record["task"], record["sha256"], record["protocol"]], sort_keys=True)


def _newness(record: Record) -> tuple[int, str]:
    return int(record["checkpoint"]["step"]), str(record.get("written", ""))
