"""Who shares what: the tensor-parallel (inner) and data-parallel (outer) groups of one rank.

World size = tp * dp.  The tp ranks of a replica are consecutive, so that on a cluster they share a
host; replica d of shard t is rank d * tp + t (paper, appendix B.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

DATA, TENSOR = "data_parallel", "tensor_parallel"


@dataclass(frozen=True)
class ParallelGroup:
    """One axis of the mesh as one rank sees it; a group of size 1 needs no process group."""

    rank: int = 0
    size: int = 1
    handle: dist.ProcessGroup | None = None

    def all_reduce(
        self, tensor: torch.Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM
    ) -> torch.Tensor:
        """Reduce `tensor` in place over the group and return it."""
        if self.size > 1:
            dist.all_reduce(tensor, op=op, group=self.handle)
        return tensor

    def all_gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """The tensors of all ranks of the group, in rank order; all have the same shape."""
        if self.size == 1:
            return [tensor]
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor.contiguous(), group=self.handle)
        return parts


SINGLE = ParallelGroup()


@dataclass(frozen=True)
class Mesh:
    """Both axes of one rank."""

    tensor: ParallelGroup = SINGLE
    data: ParallelGroup = SINGLE
    device_mesh: DeviceMesh | None = None


def build_mesh(tp: int, dp: int, device_type: str) -> Mesh:
    """The mesh over the open default process group, whose size must be tp * dp."""
    world = dist.get_world_size()
    if tp * dp != world:
        raise ValueError(
            f"tensor_model_parallel_size {tp} x data_parallel_size {dp} = {tp * dp}, "
            f"but the process group has {world} ranks"
        )
    device_mesh = init_device_mesh(device_type, (dp, tp), mesh_dim_names=(DATA, TENSOR))
    return Mesh(_group(device_mesh, TENSOR), _group(device_mesh, DATA), device_mesh)


def _group(device_mesh: DeviceMesh, axis: str) -> ParallelGroup:
    return ParallelGroup(
        rank=device_mesh.get_local_rank(axis),
        size=device_mesh[axis].size(),
        handle=device_mesh.get_group(axis),
    )
