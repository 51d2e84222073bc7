"""Ranks that stop, or leave out a collective: named, with where each stands, and all end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hydratron.job import JobFolder, read_json
from hydratron.launch.run import run_job
from tests.helpers.jobs import TRAINS, position, wait_until, writing_below
from tests.helpers.prepared import synthetic_prepared
from tests.helpers.training import small_training

pytestmark = pytest.mark.fault

TIMEOUT = 5.0


def hung(tmp_path: Path, train: str, kind: str) -> tuple[dict[str, Any], float]:
    """The result of a job that hangs, and how many seconds after its time-out it ended."""
    data = synthetic_prepared(tmp_path / "data", 60)
    config = small_training(
        data, dp=2, trainer__timeout_seconds=TIMEOUT, trainer__max_steps=100_000, launch__kind=kind
    )
    job = JobFolder(tmp_path / "job")
    began = time.monotonic()
    result = run_job(config, job.path, [], position(), f"{TRAINS}:{train}")
    assert wait_until(lambda: not writing_below(tmp_path), 10.0)
    stood = float((job.path / "stood").read_text())
    assert stood > began
    return result, time.monotonic() - stood - TIMEOUT


@pytest.mark.fault(3)
@pytest.mark.parametrize("kind", ["local", pytest.param("torchrun", marks=pytest.mark.whole)])
def test_a_stopped_rank_is_named_and_gone(
    kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    result, late = hung(tmp_path, "stop_a_rank", kind)
    assert (result["status"], result["kind"], result["rank"]) == ("failed", "Hang", 1)
    assert "rank 1 is stopped, by SIGSTOP or a debugger" in result["message"]
    assert "rank 0 waits at " in result["message"]
    assert "thread MainThread:" in (tmp_path / "job" / "logs" / "rank_0.log").read_text()
    failed = read_json(tmp_path / "job" / "failure.json")
    assert failed is not None
    assert failed["rank"] == 1
    record_property("measure", f"{late:.1f} s after the time-out")


@pytest.mark.fault(5)
def test_a_collective_that_one_rank_leaves_out_is_named_on_both_sides(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    result, late = hung(tmp_path, "skip_a_collective", "local")
    assert (result["status"], result["kind"]) == ("failed", "Hang")
    assert "rank 0 waits at parallel/" in result["message"]
    assert "rank 1 is stuck at " in result["message"]
    assert result["rank"] == 1
    record_property("measure", f"{late:.1f} s after the time-out")
