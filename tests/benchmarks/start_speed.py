"""`python -m tests.benchmarks.start_speed [--rounds 3] [--jobs 8]`: what comes before training.

In turns, each in a process of its own and in one folder whose tokens are prepared beforehand:
`hydratron --help`; a job, until its first step is in its metrics; and sweeps of one and of `--jobs`
+ 1 jobs of two steps, whose difference is what a job of a sweep takes; the latter two without W&B
and with it.  Prints medians in seconds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from hydratron.job import write_json
from hydratron.launch.provenance import code

COMMAND = [sys.executable, "-m", "hydratron"]
JOB = ["model=gpt_pico", "trainer.max_steps=2", "schedule.warmup_steps=1", "trainer.val_samples=8"]
LOGGERS = {"": ["logger=none"], " (W&B)": ["logger=wandb"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=8, help="that a long sweep has more")
    parser.add_argument("--output", type=Path, default=Path("outputs/start_speed.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _whole(folder, [*COMMAND, "train", *JOB, "logger=none"])
        measured: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for what, measure in _measures(folder, options.jobs).items():
                measured.setdefault(what, []).append(measure())
    for what, seconds in measured.items():
        print(f"{what:32} {median(seconds):6.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})")
    write_json(options.output, {"seconds": measured, "rounds": options.rounds} | code())


def _measures(folder: Path, jobs: int) -> dict[str, Callable[[], float]]:
    found: dict[str, Callable[[], float]] = {"help": partial(_whole, folder, [*COMMAND, "--help"])}
    for what, logger in LOGGERS.items():
        found[f"first step of a job{what}"] = partial(_first_step, folder, logger)
        found[f"a job of a sweep{what}"] = partial(_each, folder, logger, jobs)
    return found


def _whole(folder: Path, command: list[str]) -> float:
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return time.perf_counter() - begin


def _first_step(folder: Path, logger: list[str]) -> float:
    """Until the row of its first step is written."""
    name = f"outputs/first_{time.time_ns()}"
    command = [*COMMAND, "train", *JOB, *logger, f"hydra.run.dir={name}"]
    begin = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not any(file.stat().st_size for file in (folder / name).rglob("metrics.jsonl")):
            if process.poll() is not None:
                raise SystemExit(f"ended without a first step: {' '.join(command)}")
            time.sleep(0.005)
        return time.perf_counter() - begin


def _each(folder: Path, logger: list[str], jobs: int) -> float:
    """What `jobs` more of them take, for each."""
    return (_sweep(folder, logger, jobs + 1) - _sweep(folder, logger, 1)) / jobs


def _sweep(folder: Path, logger: list[str], jobs: int) -> float:
    """All its jobs, over seeds that no sweep had before."""
    first = time.time_ns() % 10**9
    seeds = ",".join(str(first + i) for i in range(jobs))
    where = f"hydra.sweep.dir=outputs/sweep_{first}"
    return _whole(folder, [*COMMAND, "train", "-m", *JOB, *logger, f"seed={seeds}", where])


if __name__ == "__main__":
    main()
