"""SIGUSR1 of Slurm: what was saved is queued again, once, where that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hydratron.cli import main
from hydratron.config.load import dump
from tests.helpers.jobs import TRAINS, small_config, wait_until
from tests.helpers.launchers import python
from tests.integration.test_cli import FakeJobs, elsewhere, jobs

__all__ = ["elsewhere", "jobs"]  # fixtures
pytestmark = pytest.mark.fault


@pytest.mark.fault(9)
def test_a_bare_worker_is_queued_again_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    dump(small_config(tmp_path, ranks=1), tmp_path / "config.yaml")
    module = ("-m", "hydratron.launch.worker", str(tmp_path), "--train", f"{TRAINS}:preempt")
    worker = python(*module, stderr=subprocess.PIPE)
    assert wait_until((tmp_path / "running_0").exists)
    worker.send_signal(signal.SIGUSR1)
    _, said = worker.communicate()
    assert worker.returncode == 143
    assert said.decode().splitlines()[-1] == "hydratron: SIGUSR1: saved; job 42 is requeued"
    assert (tmp_path / "asked").read_text() == "requeue 42\n"


@pytest.mark.fault(9)
@pytest.mark.parametrize("named", [True, False])
def test_a_job_of_slurm_is_queued_again_where_it_goes_on(
    named: bool,
    jobs: FakeJobs,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def requeue(environment: Any) -> str:
        asked.append(environment)
        return "asked"

    monkeypatch.setattr("hydratron.launch.requeue.requeue", requeue)
    jobs.interrupt = SystemExit(128 + signal.SIGUSR1)
    place = ["hydra.run.dir=out"] if named else []
    assert main(["train", *place]) == 143
    said = capsys.readouterr().err.splitlines()
    expected = "asked" if named else "SIGUSR1: saved; not requeued: the folder is named by the time"
    assert said[0].startswith(f"hydratron: {expected}")
    assert len(asked) == named
