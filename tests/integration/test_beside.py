"""A sweep whose jobs run beside each other in joblib's processes, and what interrupts it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydratron.job import JobFolder
from tests.helpers.jobs import descendants, living, wait_until
from tests.helpers.launchers import COMMAND, python
from tests.helpers.prepared import synthetic_prepared

pytestmark = pytest.mark.fault

OPTIONS = (
    "model=gpt_pico", "model.seq_length=16", "logger=none", "trainer.max_steps=100000",
    "trainer.global_batch_size=1", "trainer.val_every_n_steps=100000", "trainer.val_samples=1",
    "checkpoint.every_n_steps=100000", "hydra.sweep.dir=out", "hydra/launcher=joblib",
)  # fmt: skip


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Three jobs, two at a time, of which two have begun to train."""
    yield from _started(tmp_path, "seed=1,2,3", 2)


@pytest.fixture
def short_sweep(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Two jobs and room for more, both of which have begun to train."""
    yield from _started(tmp_path, "seed=1,2", 8)


def _started(folder: Path, seeds: str, at_once: int) -> Iterator[subprocess.Popen[bytes]]:
    data = f"data.prepared={synthetic_prepared(folder / 'data', 60)}"
    options = *OPTIONS, seeds, f"hydra.launcher.n_jobs={at_once}", data
    command = python("-c", COMMAND, "train", "-m", *options, cwd=folder, start_new_session=True)
    below: set[int] = set()
    try:
        assert wait_until(lambda: len(list(folder.glob("out/*/metrics.jsonl"))) == 2, 120.0)
        below = descendants(command.pid)
        yield command
    finally:
        below |= descendants(command.pid)
        command.kill()
        command.wait()
        for pid in living(below):
            os.kill(pid, signal.SIGKILL)


def _saved(folder: Path) -> bool:
    jobs = [JobFolder(path) for path in sorted(folder.glob("out/[0-9]*"))]
    return [(job.status(), len(list(job.path.glob("checkpoints/step_*")))) for job in jobs] == [
        ("preempted", 1),
        ("preempted", 1),
    ]


@pytest.mark.fault(8)
@pytest.mark.parametrize("everyone", [False, True], ids=["command", "scheduler"])
def test_sigterm_saves_the_jobs_that_run_and_begins_no_other(
    tmp_path: Path, sweep: subprocess.Popen[bytes], everyone: bool
) -> None:
    below = descendants(sweep.pid)
    (os.killpg if everyone else os.kill)(sweep.pid, signal.SIGTERM)
    assert sweep.wait(60.0) == 143
    assert _saved(tmp_path)
    assert wait_until(lambda: not living(below), 10.0), living(below)


@pytest.mark.fault(7)
def test_ctrl_c_on_a_terminal_saves_the_jobs_that_run(
    tmp_path: Path, short_sweep: subprocess.Popen[bytes]
) -> None:
    below = descendants(short_sweep.pid)
    os.killpg(short_sweep.pid, signal.SIGINT)
    assert short_sweep.wait(60.0) == 130
    assert _saved(tmp_path)
    assert wait_until(lambda: not living(below), 10.0), living(below)


@pytest.mark.fault(2)
def test_jobs_of_a_killed_command_are_saved_and_end(
    tmp_path: Path, sweep: subprocess.Popen[bytes]
) -> None:
    below = descendants(sweep.pid)
    sweep.kill()
    sweep.wait()
    assert wait_until(lambda: not living(below), 60.0), living(below)
    assert _saved(tmp_path)
