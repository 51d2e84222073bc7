"""The folders of a command's jobs: who has them, and how each job ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydratron.cli.parser import complain
from hydratron.errors import HydratronError
from hydratron.job import JobFolder, exit_code, read_json

if TYPE_CHECKING:
    from hydratron.config.command import Command


def check_place(planned: Command) -> None:
    """Raise HydratronError, before any work is done, where the jobs' folders cannot be made."""
    jobs = planned.job_folders(planned.folder)
    # A folder that is there already may have one in it that is another's, or closed.
    inside = [folder / name for folder in jobs for name in ("checkpoints", "logs")]
    for folder in dict.fromkeys([planned.folder, *jobs, *inside]):
        # The job's own folder may be a file: `settle` has looked into it.
        there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        if not there.is_dir():
            raise HydratronError(f"{folder}: {there} is no folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise HydratronError(f"{folder}: {there} cannot be written to")


def claim(planned: Command) -> Path:
    """The sweep's folder; one that is named by the time is made here, for this command alone."""
    folder, attempt = planned.folder, 1
    while planned.fresh:
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            attempt += 1
            folder = planned.folder.with_name(f"{planned.folder.name}_{attempt}")
        except OSError as error:
            raise HydratronError(f"{folder}: {error.strerror}") from None
    return folder


def made(planned: Command, folder: Path) -> list[Path]:
    """The folders of the command's jobs; those with a result where a sweeper decided on them."""
    if planned.open_ended:
        return sorted(path.parent for path in folder.glob("*/result.json"))
    return planned.job_folders(folder)


def complain_of(planned: Command, folder: Path, results: Mapping[str, dict[str, Any]]) -> int:
    """Print one line for every job that did not complete; returns the command's exit code.

    It is above SIGNALLED where a job was preempted, and 1 where one did not complete otherwise.
    `results` are those known to this process, by the folder's name; the others are read.
    """
    code = 0
    for job in map(JobFolder, made(planned, folder)):
        result = results.get(job.name) or read_json(job.result) or {"status": "unfinished"}
        if result["status"] != "completed":
            code = max(code, exit_code(result))
            complain(f"job {job.name} {result['status']}{_cause(job, result)}")
    return code


def _broken(broken: dict[str, Any] | None) -> str:
    if not broken:
        return ""
    (first, last), ranks = broken["samples"], ", ".join(map(str, broken["ranks"]))
    return f" (samples {first} to {last}, rank {ranks})"


def _cause(job: JobFolder, result: dict[str, Any]) -> str:
    if "reason" in result:
        return f": {result['reason']}{_broken(result.get('broken'))}"
    failure = read_json(job.failure)
    said = failure or result
    if "kind" not in said:
        return ""
    where = "" if said.get("rank") is None else f"rank {said['rank']}: "
    message = " ".join(str(said.get("message", "")).split())
    traceback = f" (traceback in {job.failure})" if failure else ""
    return f": {where}{said['kind']}: {message}{traceback}"
