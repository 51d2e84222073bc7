"""A job without ranks, in this process: its folder is kept as that of a training."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydratron.config.schema import Config
from hydratron.job import JobFolder, write_json
from hydratron.launch import failure
from hydratron.launch.run import clear, failed, record, unless_finished


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

    def recorded(job: JobFolder) -> dict[str, Any]:
        clear(job)
        record(config, job, overrides, None, verb=verb)
        began = time.monotonic()
        try:
            found = work(job)
            result = {"status": "completed", "seconds": round(time.monotonic() - began, 3)} | found
        except Exception as error:
            failure.raised(job, None, error)
            result = failed(job)
        write_json(job.result, result)
        return result

    return unless_finished(config, folder, verb, "", recorded)[0]
