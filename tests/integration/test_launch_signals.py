"""Launchers that are killed, interrupted or told to end: no rank stays, nothing is half-said."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydratron.job import JobFolder
from tests.helpers.jobs import descendants, living, small_config, wait_until
from tests.helpers.launchers import ranks_run, start_launcher

KINDS = ("local", "torchrun")


@pytest.fixture
def ended() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Launchers that a test started; none outlives it."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", KINDS)
def test_no_rank_outlives_a_killedstart_launcher(
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
    assert list((tmp_path / "job").glob(".store*")) == []


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


@pytest.mark.parametrize("kind", KINDS)
def test_sigterm_lets_the_ranks_end_in_order(
    tmp_path: Path, kind: str, ended: list[subprocess.Popen[bytes]]
) -> None:
    launcher = start_launcher(tmp_path, small_config(tmp_path, kind=kind), "preempt")
    ended.append(launcher)
    assert wait_until(ranks_run(tmp_path / "job"))
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait() == 143
    assert JobFolder(tmp_path / "job").status() == "preempted"


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
