"""The one Lightning strategy: tensor parallel inside, data parallel outside, on CPU or GPU.

Lightning's own ModelParallelStrategy clips by each rank's local norm and saves only one rank's part
of plain sharded tensors, both in silence; this one replaces both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as pl
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.optim import Optimizer

from hydratron.parallel.gradients import finish_gradients
from hydratron.parallel.mesh import Mesh, build_mesh
from hydratron.parallel.sharding import ParamTable
from hydratron.training import checkpoint as checkpoints
from hydratron.training.replicas import check_replicas

# What callbacks and the module put into a checkpoint besides tensors, and read again.
CARRIED = ("seconds", "data", "loss_watch")


class TensorParallelStrategy(ModelParallelStrategy):
    """Owns the mesh, the reduction of gradients, clipping and checkpoints.

    The process group is open before the Trainer is made, and is closed by whoever opened it.
    `table` says which parameters of `module.network` are sharded.
    """

    def __init__(self, tp: int, dp: int, table: ParamTable, timeout: timedelta) -> None:
        super().__init__(data_parallel_size=dp, tensor_parallel_size=tp, timeout=timeout)
        self.tp, self.dp, self.table = tp, dp, table
        self.mesh = Mesh()

    def setup_environment(self) -> None:
        # Not the parent's: it numbers GPUs on a CPU, and takes dp for the number of hosts.
        assert self.accelerator is not None
        self.accelerator.setup_device(self.root_device)
        self._setup_distributed()
        self.mesh = build_mesh(self.tp, self.dp, self.root_device.type)
        self._device_mesh = self.mesh.device_mesh

    def setup(self, trainer: pl.Trainer) -> None:
        super().setup(trainer)
        check_replicas(self._network, self.table, self.mesh)

    def finish_gradients(self, largest_norm: float) -> Tensor:
        """Once per optimizer step: average over replicas, clip, and return the norm before it."""
        parameters = dict(self._network.named_parameters())
        return finish_gradients(parameters, self.table, self.mesh, largest_norm)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Every parameter as a view that knows its place in the whole, without a copy."""
        return checkpoints.parameter_views(self._network, self.table, self.mesh)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Both moments of every parameter, likewise."""
        plain = getattr(optimizer, "_optimizer", optimizer)
        return checkpoints.moment_views(self._network, plain, self.table, self.mesh)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
        """Write the checkpoint folder `filepath` from all ranks, whole or not at all."""
        tensors = {
            "model": checkpoint["state_dict"],
            "optimizer": checkpoint["optimizer_states"][0],
            **self._random_names(checkpoint["random"]),
        }
        state = {
            "step": checkpoint["global_step"],
            **{key: checkpoint[key] for key in CARRIED},
        }
        checkpoints.save(Path(filepath), tensors, state, checkpoint["config"])

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Fill the live parameters and moments; the degrees may differ from those of the save.

        Returns what Lightning and the module restore themselves.  `random` lacks the streams of
        replicas and ranks that did not exist in the run that was saved.
        """
        module = self.lightning_module
        assert module is not None
        optimizer = self.optimizers[0]
        tensors = {
            "model": self.lightning_module_state_dict(),
            "optimizer": self.optimizer_state(optimizer),
        }
        random = self._random_names(module.streams.state())  # type: ignore[union-attr, operator]
        state = checkpoints.load(Path(checkpoint_path), tensors, random)
        checkpoints.set_optimizer_step(optimizer, state["step"])
        found = {name.split("/")[1]: random[name] for name in state["found"]}
        return {
            "pytorch-lightning_version": pl.__version__,
            "global_step": state["step"],
            **{key: state[key] for key in CARRIED},
            "random": found,
            "state_dict": {},
            "loops": {"fit_loop": loop_position(module.trainer, state["step"])},
            "callbacks": {},
            "lr_schedulers": [],
        }

    def remove_checkpoint(self, filepath: str | Path) -> None:
        if self.is_global_zero:
            checkpoints.remove(Path(filepath))

    def _determine_device_ids(self) -> list[int] | None:  # type: ignore[override]
        return None if self.root_device.type == "cpu" else [self.root_device.index]

    @property
    def _network(self) -> torch.nn.Module:
        assert self.lightning_module is not None
        network: torch.nn.Module = self.lightning_module.network  # type: ignore[assignment]
        return network

    def _random_names(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        # The ranks of a replica share the default stream, also those that a new degree adds.
        replica = f"dp{self.mesh.data.rank}"
        places = {"default": replica, "tensor_parallel": f"{replica}_tp{self.mesh.tensor.rank}"}
        return {f"random/{name}/{places[name]}": state for name, state in states.items()}

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Nothing: `load_checkpoint` has filled the live tensors."""


def loop_position(trainer: pl.Trainer, step: int) -> dict[str, Any]:
    """The state of Lightning's fit loop after `step` optimizer steps of this run's micro-batches.

    Lightning counts micro-batches; made anew from the step, the position survives a change of the
    micro-batch size or of the data-parallel degree.  Only the totals are set: the loader holds the
    batches that are left, so that Lightning's epoch starts with its first.
    """
    state: dict[str, Any] = trainer.fit_loop.state_dict()
    batches = step * trainer.accumulate_grad_batches
    total = dict.fromkeys(("ready", "started", "processed", "completed"), batches)
    state["epoch_loop.batch_progress"]["total"] = total
    optimizer = state["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    optimizer["step"]["total"] = {"ready": step, "completed": step}
    state["epoch_loop.state_dict"]["_batches_that_stepped"] = step
    return state
