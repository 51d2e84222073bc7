"""A job without ranks, in this process: its folder is kept as that of a training."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydratron.config.schema import Config
from hydratron.job import JobFolder, write_json
from hydratron.launch.attempt import attempt, record


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

    def timed() -> dict[str, Any]:
        record(config, job, overrides, None, verb=verb)
        began = time.monotonic()
        found = work(job)
        seconds = round(time.monotonic() - began, 3)
        result = {"status": "completed", "seconds": seconds} | found
        write_json(job.result, result)
        return result

    return attempt(config, job, verb, "", timed)[0]
