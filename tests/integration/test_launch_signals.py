"""Launchers that are killed, interrupted or told to end: no rank stays, nothing is half-said."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydratron.config.load import dump
from hydratron.job import JobFolder, read_json
from tests.helpers.jobs import TRAINS, descendants, living, small_config, wait_until
from tests.helpers.launchers import COMMAND, python, ranks_run, start_launcher
from tests.helpers.prepared import synthetic_prepared

pytestmark = pytest.mark.fault

OPTIONS = ("model=gpt_pico", "model.seq_length=16", "trainer.max_steps=4", "logger=none")
KINDS = ("local", "torchrun")


@pytest.fixture
def ended() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Launchers that a test started; none outlives it."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.fault(2)
@pytest.mark.parametrize("kind", KINDS)
def test_no_rank_outlives_a_killed_launcher(
    tmp_path: Path, kind: str, ended: list[subprocess.Popen[bytes]]
) -> None:
    launcher = start_launcher(tmp_path, small_config(tmp_path, kind=kind), "hang")
    ended.append(launcher)
    assert wait_until(ranks_run(tmp_path / "job"))
    below = descendants(launcher.pid)
    assert len(below) >= 3
    launcher.kill()
    launcher.wait()
    assert wait_until(lambda: not living(below), 10.0), living(below)


def test_ctrl_c_ends_the_ranks_and_is_no_failure(
    tmp_path: Path, ended: list[subprocess.Popen[bytes]]
) -> None:
    launcher = start_launcher(tmp_path, small_config(tmp_path), "hang")
    ended.append(launcher)
    assert wait_until(ranks_run(tmp_path / "job"))
    below = descendants(launcher.pid)
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait() != 0
    assert wait_until(lambda: not living(below), 10.0), living(below)
    assert JobFolder(tmp_path / "job").status() == "unfinished"
    assert not (tmp_path / "job" / "failure.json").exists()


@pytest.mark.fault(7)
def test_a_second_ctrl_c_does_not_wait(
    tmp_path: Path, ended: list[subprocess.Popen[bytes]]
) -> None:
    launcher = start_launcher(tmp_path, small_config(tmp_path), "stubborn")
    ended.append(launcher)
    assert wait_until(ranks_run(tmp_path / "job"))
    below = descendants(launcher.pid)
    launcher.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert launcher.poll() is None
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(15.0) != 0
    assert wait_until(lambda: not living(below), 10.0), living(below)


@pytest.mark.fault(8)
@pytest.mark.parametrize("kind", KINDS)
def test_sigterm_lets_the_ranks_end_in_order(
    tmp_path: Path, kind: str, ended: list[subprocess.Popen[bytes]]
) -> None:
    launcher = start_launcher(tmp_path, small_config(tmp_path, kind=kind), "preempt")
    ended.append(launcher)
    assert wait_until(ranks_run(tmp_path / "job"))
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait() == 143
    result = read_json(tmp_path / "job" / "result.json")
    assert result is not None
    assert (result["status"], result["signal"], result["signals"]) == ("preempted", "SIGTERM", 1)


@pytest.mark.fault(9, 64)
@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGHUP, 143, id="terminal"),
        pytest.param(signal.SIGUSR1, 138, id="slurm"),
    ],
)
def test_a_closed_terminal_and_a_scheduler_let_the_ranks_end_in_order(
    tmp_path: Path, number: signal.Signals, code: int, ended: list[subprocess.Popen[bytes]]
) -> None:
    launcher = start_launcher(tmp_path, small_config(tmp_path), "preempt")
    ended.append(launcher)
    assert wait_until(ranks_run(tmp_path / "job"))
    below = descendants(launcher.pid)
    os.killpg(launcher.pid, number)  # Both send it to every process.
    assert launcher.wait() == code
    assert JobFolder(tmp_path / "job").status() == "preempted"
    assert wait_until(lambda: not living(below), 10.0), living(below)


@pytest.mark.fault(8)
@pytest.mark.parametrize("kind", KINDS)
def test_a_rank_that_alone_is_told_to_end_preempts_its_job(
    tmp_path: Path, kind: str, ended: list[subprocess.Popen[bytes]]
) -> None:
    launcher = start_launcher(tmp_path, small_config(tmp_path, kind=kind), "preempt")
    ended.append(launcher)
    assert wait_until(ranks_run(tmp_path / "job"))
    os.kill(int((tmp_path / "job" / "running_1").read_text()), signal.SIGTERM)
    assert launcher.wait() == 143
    assert JobFolder(tmp_path / "job").status() == "preempted"


@pytest.mark.fault(8)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_bare_worker_ends_as_if_by_its_signal(
    tmp_path: Path, number: signal.Signals, code: int, ended: list[subprocess.Popen[bytes]]
) -> None:
    dump(small_config(tmp_path, ranks=1), tmp_path / "config.yaml")
    module = ("-m", "hydratron.launch.worker", str(tmp_path), "--train", f"{TRAINS}:preempt")
    worker = python(*module)
    ended.append(worker)
    assert wait_until((tmp_path / "running_0").exists)
    worker.send_signal(number)
    assert worker.wait() == code


@pytest.mark.fault(8)
def test_sigterm_to_every_process_leaves_the_ranks_the_time_to_save(
    tmp_path: Path, ended: list[subprocess.Popen[bytes]]
) -> None:
    launcher = start_launcher(tmp_path, small_config(tmp_path), "preempt")
    ended.append(launcher)
    assert wait_until(ranks_run(tmp_path / "job"))
    # As a scheduler does at the end of a job's time.
    os.killpg(launcher.pid, signal.SIGTERM)
    assert launcher.wait() == 143
    assert JobFolder(tmp_path / "job").status() == "preempted"


def test_ctrl_c_before_there_are_ranks_is_one_line(
    tmp_path: Path, ended: list[subprocess.Popen[bytes]]
) -> None:
    launcher = python(
        *(
            "-c",
            COMMAND,
            "train",
            *OPTIONS,
            f"data.prepared={synthetic_prepared(tmp_path / 'data', 60)}",
        ),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    ended.append(launcher)
    assert launcher.stderr is not None
    with launcher.stderr as stderr:
        assert stderr.readline().endswith(b"starting the ranks\n")
        # The server of the ranks, and Python's own helper.
        assert wait_until(lambda: len(descendants(launcher.pid)) >= 2)
        os.killpg(launcher.pid, signal.SIGINT)
        said = stderr.read().decode()  # Until the last process has ended.
    assert launcher.wait() == 130
    [line] = said.splitlines()
    assert line.startswith("hydratron: interrupted; the same command with hydra.run.dir=outputs/")


@pytest.mark.fault(7)
def test_ctrl_c_on_a_terminal_lets_the_ranks_end_in_order(
    tmp_path: Path, ended: list[subprocess.Popen[bytes]]
) -> None:
    launcher = start_launcher(tmp_path, small_config(tmp_path), "preempt")
    ended.append(launcher)
    assert wait_until(ranks_run(tmp_path / "job"))
    # A terminal sends it to every process of the group.
    os.killpg(launcher.pid, signal.SIGINT)
    assert launcher.wait() != 0
    assert JobFolder(tmp_path / "job").status() == "preempted"
