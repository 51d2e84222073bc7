"""`parallel.backend=dtensor`: training one process's network on tensors that know their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

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


def one_program(task: Task, table: ParamTable, mesh: Mesh) -> Task:
    """The task, whose calls of the network go to the tensor-parallel ranks as one.

    `sums`, which a backward pass follows, is for `in_turn_as_one`.
    """
    assert mesh.device_mesh is not None
    spread = copy(task)
    for name in ("sums", "scores", "outputs"):
        if hasattr(task, name):
            call = _spread(getattr(task, name), table, mesh.device_mesh[TENSOR])
            setattr(spread, name, call if name == "sums" else whole_batches()(call))
    return spread


def _spread(
    call: Callable[[Any, Batch], Tensor], table: ParamTable, ranks: DeviceMesh
) -> Callable[[Any, Batch], Tensor]:
    def spread(network: Any, batch: Batch) -> Tensor:
        return as_one(lambda whole: call(whole, batch), network, table, ranks)

    return spread


def in_turn_as_one(
    batches: Sequence[Batch], losses_of: Callable[[Batch], Tensor], clear: Callable[[], None]
) -> Tensor:
    """`in_turn`, whose backward passes too see whole batches on every rank."""
    with whole_batches():
        return in_turn(batches, losses_of, clear)
