"""Ranks that save one checkpoint after the other, and are killed meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from hydratron.checkpoint import choice, folder, manifest, trust
from hydratron.checkpoint.folder import load, save
from hydratron.checkpoint.manifest import verify
from hydratron.job import JobFolder, checkpoint_step

POINTS = ("start", "mid-shard", "before the manifest", "before the rename", "after the rename")
NUMBERS = 250_000  # fp32 in each rank's part: 1 MB


class Numbers:
    """What step `step` left: every number of it follows from the step."""

    def __init__(self, rank: int, step: int) -> None:
        self.name, self.step = f"of_rank_{rank}", step
        self.tensor = torch.full((NUMBERS,), float(step))
        self.tensor[:10] = torch.arange(10) + step

    def state(self) -> dict[str, Any]:
        return {"step": self.step}

    def load(self, state: Any) -> None:
        self.step = state["step"]


class Part(Numbers):
    """A tensor that this rank alone has; all ranks read all of them."""

    def state(self) -> dict[str, Any]:
        return {self.name: self.tensor}

    def room(self, saved: Any) -> dict[str, torch.Tensor]:
        return {name: torch.zeros(NUMBERS) for name in saved}

    def load(self, state: Any) -> None:
        self.found = dict(state)


def write(rank: int, path: JobFolder, step: int) -> None:
    participants = {"part": Part(rank, step), "step": Numbers(rank, step)}
    save(path.checkpoints / f"step_{step:08d}", participants, step, {"config.yaml": "seed: 1\n"})


def save_and_die(rank: int, ranks: int, path: Path, point: str, mine: int) -> None:
    """Step 1 is saved; in the save of step 2 the rank `mine` is killed at `point`."""
    job = JobFolder(path)
    write(rank, job, 1)
    with killed(point) if rank == mine else ExitStack():
        write(rank, job, 2)
    if rank == mine:  # The point is not on this rank's way.
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def killed(point: str) -> Iterator[None]:
    """SIGKILL of this process at a point of a save."""

    def die(*arguments: Any, **more: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def die_mid_shard(self: Any, plan: Any, planner: Any) -> Any:
        file = next(iter(Path(self.path).parent.glob(".step_*.partial"))) / "__9_0.distcp"
        file.write_bytes(b"half")
        die()

    def after(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            function(*arguments, **more)
            die()

        return call

    places: dict[str, tuple[Any, str, Any]] = {
        "start": (folder, "TrustedWriter", die),
        "mid-shard": (trust.TrustedWriter, "write_data", die_mid_shard),
        "before the manifest": (folder, "write", die),
        "before the rename": (folder, "replace", die),
        "after the rename": (folder, "replace", after(manifest.replace)),
    }
    with patch.object(*places[point]):
        yield


def save_for_ever(rank: int, ranks: int, path: Path, keep: int) -> None:
    """Go on from the newest checkpoint, and save step after step until killed."""
    job = JobFolder(path)
    (path / f"pid_{rank}").write_text(str(os.getpid()))
    newest = job.newest_checkpoint()
    for step in range(checkpoint_step(newest) + 1 if newest else 1, 10**6):
        write(rank, job, step)
        if rank == 0:
            choice.retain(job, keep, job.checkpoints / f"step_{step:08d}")
        time.sleep(0.002)


def check_all(rank: int, ranks: int, paths: list[Path]) -> list[int]:
    """Of each job its newest checkpoint loads, bitwise; returns their steps."""
    steps = []
    for path in paths:
        job = JobFolder(path)
        for found in job.checkpoints_newest_first():
            verify(found)
        newest = job.checkpoints_newest_first()[0]
        part, numbers = Part(rank, 0), Numbers(rank, 0)
        step = load(newest, {"part": part, "step": numbers})
        assert numbers.step == step == checkpoint_step(newest)
        assert {*part.found} == {f"of_rank_{each}" for each in range(2)}
        for tensor in part.found.values():
            assert torch.equal(tensor, Numbers(rank, step).tensor)
        steps.append(step)
    return steps
