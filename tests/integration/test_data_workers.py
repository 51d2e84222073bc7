"""A data worker that dies, in a job of real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hydratron.config.load import from_dict
from hydratron.config.schema import Config
from hydratron.launch.run import run_job
from tests.helpers.jobs import TRAINS, position, wait_until, writing_below
from tests.helpers.prepared import synthetic_prepared

pytestmark = pytest.mark.fault


def config_in(tmp_path: Path, **trainer: int) -> Config:
    return from_dict(
        {
            "model": {"num_layers": 1, "hidden_size": 32, "seq_length": 16, "vocab_multiple": 64},
            "parallel": {"data_parallel_size": 2},
            "data": {
                "prepared": str(synthetic_prepared(tmp_path / "data", 60)),
                "num_workers": 1,
            },
            "trainer": {
                "accelerator": "cpu", "log_every_n_steps": 1, "timeout_seconds": 60, **trainer
            },
            "logger": {"kind": "none"},
        }
    )  # fmt: skip


def run_and_leave_nothing(tmp_path: Path, train: str, **trainer: int) -> dict[str, Any]:
    """The job's result, when no rank and no data worker of it is left."""
    config = config_in(tmp_path, **trainer)
    result = run_job(config, tmp_path / "job", [], position(), f"{TRAINS}:{train}")
    assert wait_until(lambda: not writing_below(tmp_path), seconds=10)
    return result


def test_an_exception_in_validation_ends_the_run(tmp_path: Path) -> None:
    result = run_and_leave_nothing(tmp_path, "fail_in_validation", max_steps=1, val_every_n_steps=1)
    assert (result["status"], result["rank"]) == ("failed", 1)
    assert (result["kind"], result["message"]) == ("ValueError", "on purpose")


ENDLESS = {"max_steps": 100_000, "val_every_n_steps": 100_000}


def test_a_dead_data_worker_ends_the_run_with_one_clear_line(tmp_path: Path) -> None:
    result = run_and_leave_nothing(tmp_path, "lose_a_data_worker", **ENDLESS)
    assert (result["status"], result["kind"], result["rank"]) == ("failed", "JobError", 1)
    assert result["message"].startswith("a data worker died: DataLoader worker (pid")
    assert result["step"] < 100_000


def test_a_killed_rank_leaves_no_data_worker(tmp_path: Path) -> None:
    result = run_and_leave_nothing(tmp_path, "lose_a_rank", **ENDLESS)
    assert (result["status"], result["rank"]) == ("failed", 1)
