"""Job folders that were written elsewhere, run one after the other: needs torch and lightning only.

`python -m hydratron.launch.batch FOLDER --minutes 9` runs every job under FOLDER that has no
outcome, in the order of their paths.  When the time is over the job at work saves and ends; the
same command goes on there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hydratron.config.load import load
from hydratron.errors import HydratronError
from hydratron.job import FINAL, JobFolder, read_json, write_json
from hydratron.launch.provenance import machine

# A job needs this long to start and to save: with less left, none is started.
LEAST_SECONDS = 20.0
# After the signal a rank ends its step and saves.
SAVING_SECONDS = 120.0


def jobs_under(folder: Path) -> list[JobFolder]:
    """Every job folder at or under `folder`, by path, but for what lies in a job."""
    found = sorted({path.parent for path in folder.rglob("config.yaml")})
    return [JobFolder(path) for path in found if not any(p in found for p in path.parents)]


def run(folder: Path, seconds: float | None = None) -> int:
    """Run what has no outcome; 0 once every job has one and none failed.

    `seconds`: after which no more is begun and the job at work is told to save.  Says one line for
    each job.  Raises HydratronError where there is no job.
    """
    jobs = jobs_under(folder)
    if not jobs:
        raise HydratronError(f"{folder}: no job lies there")
    end = time.monotonic() + (seconds if seconds is not None else float("inf"))
    for number, job in enumerate(jobs, start=1):
        label = f"[{number}/{len(jobs)}] {job.path.relative_to(folder)}"
        if job.status() in FINAL:
            _say(f"{label} {job.status()} before, skipped")
        elif end - time.monotonic() < LEAST_SECONDS:
            _say(f"{label} {job.status()}: the time is over")
        else:
            _say(f"{label} starts")
            _run_one(job, end)
            _say(f"{label} {job.status()}")
    open_ones = [job for job in jobs if job.status() not in FINAL]
    if open_ones:
        _say(f"{len(open_ones)} of {len(jobs)} jobs are left: the same command goes on")
    return 1 if open_ones else 0


def command(job: JobFolder) -> list[str]:
    """What runs all ranks of the job on this host."""
    ranks = load(job.config).parallel.world_size
    worker = ["-m", "hydratron.launch.worker", str(job.path)]
    if ranks == 1:
        return [sys.executable, *worker]
    agent = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return [sys.executable, *agent, *worker]


def _run_one(job: JobFolder, end: float) -> None:
    # Where it runs is known only here; the code is the one that wrote the folder.
    known = read_json(job.provenance) or {}
    here = machine() | {"started": datetime.now(UTC).isoformat(timespec="seconds")}
    write_json(job.provenance, known | here)
    with subprocess.Popen(command(job), stdin=subprocess.DEVNULL) as process:
        left = end - time.monotonic()
        try:
            process.wait(left if left < float("inf") else None)
        except subprocess.TimeoutExpired:
            process.terminate()
            _await(process)
        except BaseException:  # Ctrl-C: the ranks have it too.
            process.terminate()
            _await(process)
            raise


def _await(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(SAVING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _say(line: str) -> None:
    print(f"hydratron: {line}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hydratron.launch.batch", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds the job folders")
    parser.add_argument("--minutes", type=float, help="save and end after so long; default: never")
    arguments = parser.parse_args(argv)
    minutes = arguments.minutes
    try:
        return run(arguments.folder, minutes if minutes is None else 60 * minutes)
    except HydratronError as error:
        print(f"hydratron: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
