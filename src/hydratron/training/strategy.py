"""The one Lightning strategy: tensor parallel inside, data parallel outside, on CPU or GPU.

Lightning's own ModelParallelStrategy clips by each rank's local norm and saves only one rank's part
of plain sharded tensors, both in silence; this one replaces both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lightning as pl
import torch
from torch.optim import Optimizer

from hydratron.checkpoint import folder as checkpoints
from hydratron.checkpoint.manifest import Verified
from hydratron.checkpoint.participant import Participant
from hydratron.checkpoint.participants import ModelState, OptimizerState, StreamState
from hydratron.checkpoint.stateful import Stateful
from hydratron.parallel.distributed_optimizer import OwnRows
from hydratron.parallel.mesh import Mesh, build_mesh
from hydratron.parallel.sharding import ParamTable
from hydratron.training.internals import OwnMeshStrategy, loop_position
from hydratron.training.replicas import check_replicas

# What other participants carry, and Lightning's count of batches, which follows from the step.
ELSEWHERE = ("state_dict", "optimizer_states", "loops", "epoch", "global_step")


class TensorParallelStrategy(OwnMeshStrategy):
    """Owns the mesh and the checkpoints.

    The process group is open before the Trainer is made, and is closed by whoever opened it.
    `sizes` are those of the mesh's axes, `table` says how the parameters of `module.network` are
    split, and `texts` are the files that go into every checkpoint, by name.  `start` is what the
    run goes on from, which need not be hashed twice, and `cast` whether that in other types.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        table: ParamTable,
        texts: Mapping[str, str],
        timeout: timedelta,
        share_memory: bool = False,
        start: Path | Verified | None = None,
        cast: bool = False,
    ) -> None:
        super().__init__(timeout=timeout)
        self.share_within = timeout.total_seconds() if share_memory else None
        self.sizes, self.table, self.texts = sizes, table, texts
        self.start, self.cast = start, cast

    def make_mesh(self) -> Mesh:
        return build_mesh(self.sizes, self.root_device.type, self.share_within)

    def setup(self, trainer: pl.Trainer) -> None:
        super().setup(trainer)
        check_replicas(self._network, self.table, self.mesh)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Nothing: the model is a participant of its own, and so is the optimizer."""
        return {}

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        return {}

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
        """Write the checkpoint folder `filepath` from all ranks, whole or not at all."""
        rest = {key: value for key, value in checkpoint.items() if key not in ELSEWHERE}
        step = checkpoint["global_step"]
        checkpoints.save(Path(filepath), self._participants(Rest(rest)), step, self.texts)

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Fill the live parameters and moments; the degrees may differ from those of the save.

        Returns what Lightning, the module and the callbacks restore themselves.
        """
        rest = Rest({})
        # Checkpoints from before there was fp16 have no loss scale.
        checkpoint: Path | Verified = Path(checkpoint_path)
        if isinstance(self.start, Verified) and self.start.path == checkpoint:
            checkpoint = self.start
        step = checkpoints.load(
            checkpoint, self._participants(rest), optional=["loss_scale"], cast=self.cast
        )
        assert self.lightning_module is not None
        loops = {"fit_loop": loop_position(self.lightning_module.trainer, step)}
        return rest.content | {"state_dict": {}, "global_step": step, "loops": loops}

    def remove_checkpoint(self, filepath: str | Path) -> None:
        if self.is_global_zero:
            checkpoints.remove(Path(filepath))

    def _participants(self, rest: Rest) -> dict[str, Participant]:
        module, (optimizer,) = self.lightning_module, self.optimizers
        network, streams = self._network, module.streams  # type: ignore[union-attr]
        rows = cast("OwnRows | None", module.rows)  # type: ignore[union-attr]
        return {
            "model": ModelState(network, self.table, self.mesh),
            "optimizer": OptimizerState(network, optimizer, self.table, self.mesh, rows),
            "random": StreamState(streams, self.mesh),  # type: ignore[arg-type]
            "loss_scale": module.loss_scale,  # type: ignore[dict-item,union-attr]
            "trainer": Stateful(rest),
        }

    @property
    def _network(self) -> torch.nn.Module:
        assert self.lightning_module is not None
        network: torch.nn.Module = self.lightning_module.network  # type: ignore[assignment]
        return network

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Nothing: `load_checkpoint` has filled the live tensors."""


class Rest:
    """What Lightning, its callbacks and schedulers and the module's hooks want to find again."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def state_dict(self) -> dict[str, Any]:
        return self.content

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.content = state_dict
