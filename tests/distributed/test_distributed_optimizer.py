"""ZeRO-1: replicas with their own rows are, bit by bit, replicas with all of them."""

from __future__ import annotations

from pathlib import Path

import torch

from hydratron.checkpoint.folder import load, save
from tests.helpers.participants import SHAPES, TABLE, Run
from tests.helpers.ranks import run_ranks

OPTIMIZERS = ("adamw", "momentum")


def begin(rank: int, world_size: int, target: Path) -> None:
    """Two steps beside the same ones of whole replicas, and from those to rows."""
    for name in OPTIMIZERS:
        run, plain = Run(2, name, dp=2, zero=True), Run(2, name, dp=2)
        for seed in (5, 6):
            run.step(seed)
            plain.step(seed)
            for parameter in SHAPES:
                found, expected = (r.network.get_parameter(parameter) for r in (run, plain))
                assert torch.equal(found, expected), (name, parameter)
        save(target / name, run.participants, 2, {})
        save(target / f"{name}-plain", plain.participants, 2, {})
        again = Run(2, name, seed=9, dp=2, zero=True)
        load(target / f"{name}-plain", again.participants)
        assert again.content() == run.content()
        if name == "momentum":
            held, whole = (
                [s["momentum_buffer"].numel() for s in r.optimizer.state.values()]
                for r in (run, plain)
            )
            assert whole == [12, 12, 5]  # on each tensor-parallel rank
            assert held == ([6, 8, 3] if run.mesh.data.rank == 0 else [6, 4, 2])


def pass_on(rank: int, world_size: int, source: Path, target: Path) -> None:
    """Load what other degrees saved, and save it again; of three rows the last rank has none."""
    for name in OPTIMIZERS:
        run = Run(1, name, seed=9, dp=world_size, zero=True)
        assert len(run.optimizer.param_groups[0]["params"]) == (3 if rank < 3 else 1)
        load(source / name, run.participants)
        save(target / name, run.participants, 2, {})


def compare(rank: int, world_size: int, source: Path) -> None:
    """One process goes on as if nothing had been."""
    for name in OPTIMIZERS:
        run, again = Run(1, name), Run(1, name, seed=9)
        for seed in (5, 6):
            run.step(seed)
        load(source / name, again.participants)
        for _ in range(2):
            assert again.content() == run.content()
            run.step(7)
            again.step(7)


def test_any_degree_goes_on_with_and_without_it_bitwise(tmp_path: Path) -> None:
    assert TABLE["rows"].shard_dim == 0  # where both axes cut the rows
    run_ranks(begin, 4, tmp_path / "2x2")
    run_ranks(pass_on, 4, tmp_path / "2x2", tmp_path / "1x4")
    run_ranks(compare, 1, tmp_path / "1x4")
