"""One job from its configuration to its result, for the command line: `run_job`."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydratron.config.schema import Config
from hydratron.data.prepare import prepare_job
from hydratron.errors import JobError
from hydratron.job import JobFolder, read_json
from hydratron.launch import forkserver, torchrun
from hydratron.launch.attempt import attempt, record
from hydratron.launch.history import starting_point
from hydratron.launch.progress import Display, Position, end_line, say
from hydratron.launch.supervision import TRAIN, remove_logs, stamp

LAUNCHERS: dict[str, Callable[[Config, JobFolder, Callable[[], None], str], None]] = {
    "local": forkserver.launch,
    "torchrun": torchrun.launch,
}
NOTHING: Mapping[str, Any] = {}
# The first host may still be ending its ranks, and a shared file system takes its time.
FIRST_HOST_SECONDS, POLL_SECONDS = 60.0, 0.25


def run_job(
    config: Config,
    folder: Path,
    overrides: Sequence[str],
    position: Position,
    train: str = TRAIN,
    origin: Mapping[str, Any] = NOTHING,
) -> dict[str, Any]:
    """Run the job in `folder`, or find it finished there, and return its result.

    A failed job does not raise: its result says `failed`, with rank, kind and message, and is also
    in result.json, unless the folder belongs to another job.  With several hosts all return the
    result of the first.  `train` is `package.module:function`, and `origin` joins provenance.json.
    """
    if config.resume is not None:
        # The folder may be run again from elsewhere.
        config = dataclasses.replace(config, resume=str(Path(config.resume).resolve()))
    job = JobFolder(folder)
    began = time.monotonic()
    work = functools.partial(_train, config, job, overrides, position, train, origin)
    result, tried = attempt(config, job, "train", position.label, work)
    if not tried:
        return result
    if result["status"] == "failed":
        keys = f"kind={result['kind']} rank={_or_dash(result, 'rank')}"
        say(f"FAULT {keys} step={_or_dash(result, 'step')} action=job ended")
    for line in result.get("passed_over", ()):
        say(line)
    say(end_line(job.name, position, result, time.monotonic() - began))
    return result


def _train(
    config: Config,
    job: JobFolder,
    overrides: Sequence[str],
    position: Position,
    train: str,
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    node, earlier = config.launch.node_rank, stamp(job.result)
    config = _write_inputs(config, job, overrides, origin)
    with Display(config, job, position) as display:
        LAUNCHERS[config.launch.kind](config, job, display.update, train)
    if node > 0:
        _wait_for_first_host(job, earlier)
    result = read_json(job.result)
    if result is None:
        raise JobError("the ranks ended without a result")
    remove_logs(job, node, empty=True)
    return result


def _wait_for_first_host(job: JobFolder, earlier: tuple[int, int] | None) -> None:
    """Return once its result of this attempt, not the `earlier` one, is there."""
    deadline = time.monotonic() + FIRST_HOST_SECONDS
    while stamp(job.result) in (None, earlier):
        if time.monotonic() > deadline:
            raise JobError("the first host left no result")
        time.sleep(POLL_SECONDS)


def _write_inputs(
    config: Config, job: JobFolder, overrides: Sequence[str], origin: Mapping[str, Any]
) -> Config:
    """Write what the ranks read and what the reader asks; return the configuration with data."""
    if config.data.prepared is None:
        prepared = prepare_job(config, progress=False)
        data = dataclasses.replace(config.data, prepared=str(prepared))
        config = dataclasses.replace(config, data=data)
    if config.launch.node_rank == 0:
        record(config, job, overrides, starting_point(config, job), **origin)
    return config


def _or_dash(result: Mapping[str, Any], key: str) -> Any:
    return "-" if result.get(key) is None else result[key]
