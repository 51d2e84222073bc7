"""Checkpoints of real ranks: other degrees read them bitwise, failures leave nothing behind."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from hydratron.checkpoint.folder import load, save, verify
from hydratron.errors import HydratronError
from tests.helpers.participants import NESTED, OPTIMIZERS, Run
from tests.helpers.ranks import run_ranks


def begin(rank: int, tp: int, target: Path) -> None:
    for name in OPTIMIZERS:
        run = Run(tp, name)
        save(target / name / "fresh", run.participants, 0, {})
        for seed in (5, 6):
            run.step(seed)
        run.callback.content = NESTED
        save(target / name / "step_00000002", run.participants, 2, {"config.yaml": "seed: 1\n"})


def pass_on(rank: int, tp: int, source: Path, target: Path) -> None:
    """Load what another degree saved, and save it again."""
    for name in OPTIMIZERS:
        for checkpoint, step in {"fresh": 0, "step_00000002": 2}.items():
            run = Run(tp, name, seed=9)
            assert load(source / name / checkpoint, run.participants) == step
            save(target / name / checkpoint, run.participants, step, {})


def compare(rank: int, tp: int, source: Path) -> None:
    """After three changes of degree, the run goes on as if nothing had been."""
    for name in OPTIMIZERS:
        for checkpoint, steps in {"fresh": 0, "step_00000002": 2}.items():
            run, again = Run(tp, name), Run(tp, name, seed=9)
            for seed in range(5, 5 + steps):
                run.step(seed)
            again.step(8)  # what it had before is gone, not mixed in
            load(source / name / checkpoint, again.participants)
            for _ in range(2):
                assert again.content().split() == run.content().split()
                assert bool(again.optimizer.state) == (name == "adagrad" or steps > 0 != (name == "sgd"))
                run.step(7), again.step(7)
            if steps:
                assert repr(again.callback.content) == repr(NESTED)


def test_every_optimizer_survives_changes_of_degree_bitwise(tmp_path: Path) -> None:
    run_ranks(begin, 1, tmp_path / "1")
    run_ranks(pass_on, 2, tmp_path / "1", tmp_path / "2")
    run_ranks(pass_on, 4, tmp_path / "2", tmp_path / "4")
    run_ranks(compare, 1, tmp_path / "4")
