"""Checkpoints of real ranks: other degrees read them bitwise, failures leave nothing behind."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from hydratron.checkpoint.folder import load, save
from hydratron.errors import HydratronError
from tests.helpers.participants import NESTED, OPTIMIZERS, Run
from tests.helpers.ranks import run_ranks

KEPT = {
    "adamw": {"step", "exp_avg", "exp_avg_sq"},
    "momentum": {"momentum_buffer"},
    "sgd": set(),
    "adagrad": {"step", "sum"},
}


def kept(run: Run) -> set[str]:
    """What the optimizer saves of its parameters: nothing is invented."""
    state = run.participants["optimizer"].state()
    return {name.split("/")[0] for name in state if "/" in name}


def begin(rank: int, tp: int, target: Path) -> None:
    for name in OPTIMIZERS:
        run = Run(tp, name)
        assert kept(run) == ({"step", "sum"} if name == "adagrad" else set())
        save(target / name / "fresh", run.participants, 0, {})
        for seed in (5, 6):
            run.step(seed)
        assert kept(run) == KEPT[name]
        run.callback.content = NESTED
        save(target / name / "step_00000002", run.participants, 2, {"config.yaml": "seed: 1\n"})


def pass_on(rank: int, tp: int, source: Path, target: Path) -> None:
    """Load what another degree saved, and save it again."""
    for name in OPTIMIZERS:
        for checkpoint, step in {"fresh": 0, "step_00000002": 2}.items():
            run = Run(tp, name, seed=9)
            assert load(source / name / checkpoint, run.participants) == step
            save(target / name / checkpoint, run.participants, step, {})


def draw(rank: int, tp: int, source: Path) -> None:
    """Streams of new ranks stay as they were seeded, those that were saved go on."""
    run, fresh = Run(tp), Run(tp, seed=9)
    seeded = fresh.streams.state()
    load(source / "adamw" / "fresh", fresh.participants)
    now, expected = fresh.streams.state(), run.streams.state()
    assert torch.equal(now["default"], expected["default"])
    there = expected if rank == 0 else seeded
    assert torch.equal(now["tensor_parallel"], there["tensor_parallel"])

    # Two replicas: each saves its own streams and finds them again.
    replica = Run(1, seed=9, dp=2)
    expected = replica.streams.state()
    save(source / "replicas", replica.participants, 0, {})
    other = Run(1, seed=8, dp=2)
    load(source / "replicas", other.participants)
    for name, stream in other.streams.state().items():
        assert torch.equal(stream, expected[name])


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
                for ours, theirs in zip(again.content(), run.content(), strict=True):
                    assert ours == theirs, (name, checkpoint)
                run.step(7)
                again.step(7)
            if steps:
                assert repr(again.callback.content) == repr(NESTED)


def test_every_optimizer_survives_changes_of_degree_bitwise(tmp_path: Path) -> None:
    run_ranks(begin, 1, tmp_path / "1")
    run_ranks(draw, 2, tmp_path / "1")
    run_ranks(pass_on, 2, tmp_path / "1", tmp_path / "2")
    run_ranks(pass_on, 4, tmp_path / "2", tmp_path / "4")
    run_ranks(compare, 1, tmp_path / "4")


class Cut:
    """Fails on the last rank: when asked for its state, when it takes one, or before a barrier."""

    def __init__(self, rank: int, state: Any = None, fails: bool = False) -> None:
        self.content, self.fails = {} if state is None else state, fails and rank == 1

    def state(self) -> dict[str, Any]:
        if self.fails:
            raise ValueError("on purpose")
        return self.content

    def load(self, state: dict[str, Any]) -> None:
        self.state()


@contextmanager
def full_disk(here: bool) -> Iterator[None]:
    """No file of this process may grow beyond 2,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000 if here else before[0], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def message(function: Any, *args: Any) -> str:
    with pytest.raises(HydratronError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def fail(rank: int, tp: int, folder: Path) -> list[str]:
    """All that may go wrong on one rank goes wrong on both, and nothing is left of it."""
    path, run = folder / "checkpoints" / "step_00000001", Run(tp)
    run.step(5)
    broken = run.participants | {"cut": Cut(rank, fails=True)}
    messages = []
    with pytest.raises((HydratronError, ValueError), match="on purpose"):
        save(path, broken, 1, {})
    with full_disk(rank == 1):
        messages.append(message(save, path, run.participants, 1, {}))
    with full_disk(rank == 0):
        messages.append(message(save, path, {"cut": Cut(rank)}, 1, {"config.yaml": "x" * 9999}))
    dist.barrier()
    assert not any(path.parent.iterdir())
    dist.barrier()  # the next save fills the folder, and may not before both have looked

    save(path, run.participants | {"cut": Cut(rank)}, 1, {"config.yaml": "x" * 9999})
    files = json.loads((path / "manifest.json").read_text())["files"]
    assert {*files, "manifest.json"} == {file.name for file in path.iterdir()}
    assert {f"__{r}_0.distcp" for r in range(tp)} <= set(files)
    assert str(folder).encode() not in (path / ".metadata").read_bytes()
    with pytest.raises((HydratronError, ValueError), match="on purpose"):
        load(path, broken)
    dist.barrier()
    if rank == 0:
        (path / "__1_0.distcp").write_bytes(b"")
    dist.barrier()
    messages.append(message(load, path, run.participants | {"cut": Cut(rank)}))
    return messages


def test_what_fails_on_one_rank_fails_on_all_and_leaves_nothing(tmp_path: Path) -> None:
    first, second = run_ranks(fail, 2, tmp_path)
    assert "rank 1" in first[0]
    assert "rank 0" in first[1]
    assert first == second
