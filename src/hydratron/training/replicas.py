"""Before the first step: do all copies of a parameter really hold the same numbers?"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hydratron.errors import HydratronError
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.sharding import ParamTable


def check_replicas(network: nn.Module, table: ParamTable, mesh: Mesh) -> None:
    """Raise, on all ranks of the group, naming the parameters of which two copies differ.

    All parameters are copied over the data-parallel group, unsharded ones over the tensor-parallel
    group as well.
    """
    named = dict(network.named_parameters())
    replicated = {n: p for n, p in named.items() if table[n].shard_dim is None}
    for group, parameters in ((mesh.data, named), (mesh.tensor, replicated)):
        if group.size == 1:
            continue
        sums = torch.stack([checksum(p) for p in parameters.values()])
        lowest = group.all_reduce(sums.clone(), dist.ReduceOp.MIN)
        highest = group.all_reduce(sums.clone(), dist.ReduceOp.MAX)
        differing = [n for n, same in zip(parameters, lowest == highest, strict=True) if not same]
        if differing:
            raise HydratronError(f"copies differ between ranks before step 1: {differing}")


def checksum(tensor: Tensor) -> Tensor:
    """The sum of the bits as integers: exact, so it does not depend on the order of summation."""
    return tensor.detach().float().view(torch.int32).sum(dtype=torch.int64)
