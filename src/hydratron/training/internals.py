"""What the strategy takes from Lightning that Lightning does not promise to keep; tried with 2.6.6.

`tests/unit/training/test_internals.py` says which of it a new Lightning has changed.
"""

from __future__ import annotations

from typing import Any

import lightning as pl
from lightning.pytorch.strategies import ModelParallelStrategy

from hydratron.parallel.mesh import Mesh


class OwnMeshStrategy(ModelParallelStrategy):
    """Takes the open process group as it is, and a mesh that `make_mesh` builds over it."""

    mesh = Mesh()

    def make_mesh(self) -> Mesh:
        raise NotImplementedError

    def setup_environment(self) -> None:
        # Not the parent's: it numbers GPUs on a CPU, and takes dp for the number of hosts.
        assert self.accelerator is not None
        self.accelerator.setup_device(self.root_device)
        self._setup_distributed()
        self.mesh = self.make_mesh()
        self._device_mesh = self.mesh.device_mesh

    def _determine_device_ids(self) -> list[int] | None:  # type: ignore[override]
        return None if self.root_device.type == "cpu" else [self.root_device.index]


def loop_position(trainer: pl.Trainer, step: int) -> dict[str, Any]:
    """The state of Lightning's fit loop after `step` steps, of which each is one batch.

    Only the totals are set: the loader holds the steps that are left, so that Lightning's epoch
    starts with its first.
    """
    state: dict[str, Any] = trainer.fit_loop.state_dict()
    total = dict.fromkeys(("ready", "started", "processed", "completed"), step)
    state["epoch_loop.batch_progress"]["total"] = total
    progress = state["epoch_loop.manual_optimization.optim_step_progress"]
    progress["total"] = {"ready": step, "completed": step}
    state["epoch_loop.state_dict"]["_batches_that_stepped"] = step
    return state


def count_step(trainer: pl.Trainer) -> None:
    """Count a step without an update, as Lightning counts those of the optimizer."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()
