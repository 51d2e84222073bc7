"""`parallel.backend=dtensor`: training one process's network on tensors that know their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from hydratron.models.language import LanguageModel
from hydratron.models.shape import Shape
from hydratron.parallel.layers import Device
from hydratron.parallel.mesh import TENSOR, Mesh, ParallelGroup
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamTable
from hydratron.parallel.spmd import (
    SpmdRegion,
    as_one,
    keep_parts,
    spmd_linear_loss,
    whole_batches,
)
from hydratron.tasks.contract import Batch, Task
from hydratron.training.step import in_turn


def spmd_network(
    task: Task,
    shape: Shape,
    table: ParamTable,
    group: ParallelGroup,
    in_sequence: bool,
    streams: RandomStreams,
    device: Device,
) -> LanguageModel:
    """The network of one process, with this rank's parts of its parameters, empty."""
    network = task.network(shape, streams, SpmdRegion(in_sequence), "meta")
    network.linear_loss = spmd_linear_loss
    keep_parts(network, table, group, device)
    return network


class OneProgram:
    """A task whose calls of the network go to the tensor-parallel ranks as one.

    `sums`, which a backward pass follows, is for `in_turn_as_one`.
    """

    def __init__(self, task: Any, table: ParamTable, mesh: Mesh) -> None:
        assert mesh.device_mesh is not None
        self._task, self._table, self._mesh = task, table, mesh.device_mesh[TENSOR]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._task, name)
        if name == "sums":
            return self._spread(found)
        return whole_batches()(self._spread(found)) if name in ("scores", "outputs") else found

    def _spread(self, call: Callable[[Any, Batch], Tensor]) -> Callable[[Any, Batch], Tensor]:
        def spread(network: Any, batch: Batch) -> Tensor:
            return as_one(lambda whole: call(whole, batch), network, self._table, self._mesh)

        return spread


def in_turn_as_one(
    batches: Sequence[Batch], losses_of: Callable[[Batch], Tensor], clear: Callable[[], None]
) -> Tensor:
    """`in_turn`, whose backward passes too see whole batches on every rank."""
    with whole_batches():
        return in_turn(batches, losses_of, clear)
