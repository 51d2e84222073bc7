"""A job without ranks, in this process: its folder is kept as that of a training."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydratron.config.schema import Config
from hydratron.errors import JobError
from hydratron.job import JobFolder, write_json
from hydratron.launch import failure
from hydratron.launch.progress import say
from hydratron.launch.run import clear, failed, finished, owned, record


def run_in_process(
    config: Config,
    folder: Path,
    overrides: Sequence[str],
    verb: str,
    work: Callable[[JobFolder], dict[str, Any]],
) -> dict[str, Any]:
    """Do the `work` of the job in `folder`, or find it done there, and return its result.

    What `work` returns joins the result, which is written after all that `work` writes.  A failed
    job does not raise, as with `launch.run.run_job`.
    """
    job = JobFolder(folder)
    try:
        with owned(job, config):
            result = finished(config, folder, verb)
            if result is not None:
                say(f"{job.name} {result['status']} before, skipped")
                return result
            clear(job)
            record(config, job, overrides, None, verb=verb)
            began = time.monotonic()
            try:
                found = work(job)
                result = {"status": "completed", "seconds": round(time.monotonic() - began, 3)}
                result |= found
            except Exception as error:
                failure.raised(job, None, error)
                result = failed(job)
            write_json(job.result, result)
            return result
    except (JobError, OSError) as error:
        return {"status": "failed", "kind": type(error).__name__, "message": str(error)}
