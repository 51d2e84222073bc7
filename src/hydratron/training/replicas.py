"""Before the first step: do all copies of a parameter really hold the same numbers?"""

from __future__ import annotations

import torch
from torch import nn

from hydratron.errors import HydratronError
from hydratron.parallel.mesh import DATA, ENDS, TENSOR, Mesh
from hydratron.parallel.sharding import ParamSpec, ParamTable


def check_replicas(network: nn.Module, table: ParamTable, mesh: Mesh) -> None:
    """Raise, on all ranks of a group, naming the parameters of which two copies differ in a bit.

    All parameters are copied over the data-parallel group, unsharded ones over the tensor-parallel
    group as well, and tied ones over both ends of a pipeline; each is compared with that of the
    group's first rank.
    """
    named = dict(network.named_parameters())
    for axis, group in ((name, mesh[name]) for name in (*mesh.axes, ENDS)):
        copies = {n: p for n, p in named.items() if _copied(table[n], axis)}
        if group.size == 1 or not copies:
            continue
        differs = torch.stack(
            [(group.broadcast(p.detach().clone()) != p).any() for p in copies.values()]
        )
        found = group.all_reduce(differs.int()).tolist()
        if names := [name for name, times in zip(copies, found, strict=True) if times]:
            raise HydratronError(f"copies differ between ranks before step 1: {names}")


def _copied(spec: ParamSpec, axis: str) -> bool:
    """Whether all ranks along the axis that have the parameter have the same of it."""
    return {DATA: True, TENSOR: spec.shard_dim is None, ENDS: spec.tied}.get(axis, False)
