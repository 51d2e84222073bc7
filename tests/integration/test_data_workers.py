"""A data worker that dies, in a job of real processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hydratron.config.load import from_dict
from hydratron.config.schema import Config
from hydratron.launch.run import run_job
from tests.helpers.jobs import TRAINS, descendants, living, position
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


def test_an_exception_in_validation_ends_the_run(tmp_path: Path) -> None:
    config = config_in(tmp_path, max_steps=1, val_every_n_steps=1)
    train = f"{TRAINS}:fail_in_validation"
    result = run_job(config, tmp_path / "job", [], position(), train)
    assert (result["status"], result["rank"]) == ("failed", 1)
    assert (result["kind"], result["message"]) == ("ValueError", "on purpose")


def test_a_dead_data_worker_ends_the_run_with_one_clear_line(tmp_path: Path) -> None:
    config = config_in(tmp_path, max_steps=100_000, val_every_n_steps=100_000)
    before = descendants(os.getpid())
    train = f"{TRAINS}:lose_a_data_worker"
    result = run_job(config, tmp_path / "job", [], position(), train)
    assert (result["status"], result["kind"], result["rank"]) == ("failed", "JobError", 1)
    assert result["message"].startswith("a data worker died: DataLoader worker (pid")
    assert result["step"] < 100_000
    # The forkserver stays warm; ranks and their workers are gone.
    assert len(living(descendants(os.getpid()) - before)) <= 2
