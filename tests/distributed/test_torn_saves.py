"""SIGKILL in a save, at every point of it and at any time: never a torn checkpoint."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hydratron.checkpoint import choice
from hydratron.job import JobFolder
from tests.helpers.jobs import wait_until, writing_below
from tests.helpers.ranks import RankError, run_ranks
from tests.helpers.saves import POINTS, check_all, save_and_die, save_for_ever

pytestmark = pytest.mark.fault

Measure = Callable[[str, object], None]


def die_at(path: Path, point: str, rank: int) -> Path:
    path.mkdir()
    with pytest.raises(RankError):
        run_ranks(save_and_die, 2, path, point, rank)
    return path


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    "rank", [pytest.param(0, id="first"), pytest.param(1, id="last", marks=pytest.mark.whole)]
)
def test_a_kill_at_any_point_of_a_save_leaves_a_whole_checkpoint(
    rank: int, tmp_path: Path, record_property: Measure
) -> None:
    paths = [die_at(tmp_path / point.replace(" ", "_"), point, rank) for point in POINTS]
    found = run_ranks(check_all, 1, paths)[0]
    # Only the first rank writes the manifest and gives the name.
    assert found == ([1, 1, 1, 1, 2] if rank == 0 else [1, 1, 2, 2, 2])
    for path in paths:
        choice.sweep(JobFolder(path))
        assert not [*(path / "checkpoints").glob(".*")]
    record_property("measure", f"{len(paths)} kills, 0 torn")


def kill_soon(path: Path, draw: random.Random, seconds: float) -> None:
    """SIGKILL of one rank at a random time after both have begun."""
    assert wait_until(lambda: len([*path.glob("pid_*")]) == 2)
    time.sleep(draw.uniform(0.0, seconds))
    pid = int((path / f"pid_{draw.randrange(2)}").read_text())
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.fault(13, 21)
@pytest.mark.parametrize(
    "kills", [3, pytest.param(50, marks=pytest.mark.whole)], ids=lambda n: f"{n} kills"
)
def test_kills_at_random_times_tear_no_checkpoint(
    kills: int, tmp_path: Path, record_property: Measure
) -> None:
    draw, newest = random.Random(16), 0
    for _ in range(kills):
        for pid in tmp_path.glob("pid_*"):
            pid.unlink()
        killer = threading.Thread(target=kill_soon, args=(tmp_path, draw, 0.4))
        killer.start()
        with pytest.raises(RankError):
            run_ranks(save_for_ever, 2, tmp_path, 1)
        killer.join()
        if JobFolder(tmp_path).newest_checkpoint() is None:
            continue
        (step,) = run_ranks(check_all, 1, [tmp_path])[0]
        assert step >= newest
        newest = step
    assert newest > 0
    assert not writing_below(tmp_path)
    record_property("measure", f"{kills} kills, 0 torn, {newest} steps saved")
