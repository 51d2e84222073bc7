"""Who shares what: the named axes of the mesh, and this rank's group along each.

From outer to inner: pipeline, data, tensor.  The ranks of an inner group are consecutive, so that
on a cluster the tensor-parallel ranks of a replica share a host; stage p of replica d of shard t is
rank (p * dp + d) * tp + t (paper, appendix B.1).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from hydratron.parallel.shared_memory import COMBINE, SharedMemory, connect

PIPELINE, DATA, TENSOR = "pipeline", "data", "tensor"
# The first and the last stage, which share the word embeddings: no axis, but a part of one.
ENDS = "ends"
# torch 2.13 calls them by other names than 2.11.
_ALL_GATHER = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_REDUCE_SCATTER = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


class Pending(Protocol):
    """A call under way; nobody touches its tensor before `wait` has returned."""

    def wait(self) -> object: ...


@dataclass(frozen=True)
class ParallelGroup:
    """One axis of the mesh as one rank sees it; a group of size 1 needs no process group.

    With `shared` what lies on the CPU goes through the memory that the ranks share.
    """

    rank: int = 0
    size: int = 1
    handle: dist.ProcessGroup | None = None
    shared: SharedMemory | None = None

    def all_reduce(
        self, tensor: torch.Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM
    ) -> torch.Tensor:
        """Reduce `tensor` in place over the group and return it."""
        if self.size == 1:
            return tensor
        if (memory := self._memory(tensor)) is not None and op in COMBINE:
            return memory.all_reduce(tensor, op)
        dist.all_reduce(tensor, op=op, group=self.handle)
        return tensor

    def begin_all_reduce(self, tensor: torch.Tensor) -> Pending:
        """Begin to sum `tensor` in place beside what this rank computes until it waits.

        Never through shared memory: there the ranks themselves would have to sum.
        """
        work = dist.all_reduce(tensor, group=self.handle, async_op=True)
        assert work is not None
        return work

    def all_gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """The tensors of all ranks of the group, in rank order; all have the same shape."""
        if self.size == 1:
            return [tensor]
        tensor = tensor.contiguous()
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        if (memory := self._memory(tensor)) is not None:
            memory.all_gather(tensor, parts)
        else:
            dist.all_gather(parts, tensor, group=self.handle)
        return parts

    def all_gather_stacked(self, tensor: torch.Tensor) -> torch.Tensor:
        """The same tensors in one, [size, ...]; nobody's is copied twice on the way."""
        if self.size == 1:
            return tensor.unsqueeze(0)
        parts = tensor.new_empty(self.size * tensor.numel())
        if (memory := self._memory(tensor)) is not None:
            memory.all_gather(tensor, parts.view(self.size, -1).unbind())
        else:
            _ALL_GATHER(parts, tensor.reshape(-1), group=self.handle)
        return parts.view(self.size, *tensor.shape)

    def reduce_scatter(self, parts: torch.Tensor) -> torch.Tensor:
        """Of `parts` [size, ...], one for each rank, the sum over all ranks of the own one."""
        if self.size == 1:
            return parts[0]
        own = parts.new_empty(parts[0].numel())
        if (memory := self._memory(parts)) is not None:
            memory.reduce_scatter(parts, own)
        else:
            _REDUCE_SCATTER(own, parts.reshape(-1), group=self.handle)
        return own.view(parts.shape[1:])

    def broadcast(self, tensor: torch.Tensor) -> torch.Tensor:
        """Overwrite `tensor` by that of the group's first rank and return it."""
        if self.size > 1:
            dist.broadcast(tensor, group=self.handle, group_src=0)
        return tensor

    def _memory(self, tensor: torch.Tensor) -> SharedMemory | None:
        """What the ranks share, where it serves this tensor."""
        return self.shared if tensor.is_cpu else None


SINGLE = ParallelGroup()


@dataclass(frozen=True)
class Mesh:
    """The groups of one rank by the name of their axis, outer to inner.

    `device_mesh` is of the ranks that hold the same layers: this stage's, without the pipeline.
    """

    axes: Mapping[str, ParallelGroup] = field(default_factory=dict)
    device_mesh: DeviceMesh | None = None
    ends: ParallelGroup = SINGLE

    def __getitem__(self, axis: str) -> ParallelGroup:
        """The group along an axis; an axis that the mesh does not have is this rank alone.

        That of `ENDS` is the first and the last stage, and in between them a rank alone.
        """
        return self.ends if axis == ENDS else self.axes.get(axis, SINGLE)

    @property
    def pipeline(self) -> ParallelGroup:
        return self[PIPELINE]

    @property
    def tensor(self) -> ParallelGroup:
        return self[TENSOR]

    @property
    def data(self) -> ParallelGroup:
        return self[DATA]


def build_mesh(
    sizes: Mapping[str, int], device_type: str, share_within: float | None = None
) -> Mesh:
    """The mesh over the open default process group; `sizes` of its axes, outer to inner.

    `share_within`: have the CPU ranks of a group share memory, in which they wait so many seconds
    for each other; where they cannot, the first rank of the mesh says why.  Raises ValueError
    unless the product of the sizes is the number of ranks.
    """
    product, world = math.prod(sizes.values()), dist.get_world_size()
    if product != world:
        factors = " x ".join(f"{axis} {size}" for axis, size in sizes.items())
        raise ValueError(f"{factors} = {product}, but the process group has {world} ranks")
    mesh = init_device_mesh(device_type, tuple(sizes.values()), mesh_dim_names=tuple(sizes))
    groups = {
        axis: ParallelGroup(mesh.get_local_rank(axis), size, mesh.get_group(axis))
        for axis, size in sizes.items()
    }
    if share_within is not None and device_type == "cpu":
        groups = {axis: _sharing(group, share_within) for axis, group in groups.items()}
    if PIPELINE not in sizes:
        return Mesh(groups, mesh)
    stage = mesh[tuple(axis for axis in sizes if axis != PIPELINE)]
    return Mesh(groups, stage, _ends(groups[PIPELINE]))


def _ends(stages: ParallelGroup) -> ParallelGroup:
    """The first and the last of all stages as a group of their own."""
    if stages.size <= 2:
        return stages
    if stages.rank not in (0, stages.size - 1):
        return SINGLE
    first, *_, last = dist.get_process_group_ranks(stages.handle)
    # Those in between are not asked, nor are the other replicas, which open theirs.
    handle = dist.new_group([first, last], use_local_synchronization=True)
    return ParallelGroup(int(stages.rank > 0), 2, handle)


def _sharing(group: ParallelGroup, seconds: float) -> ParallelGroup:
    """The group with memory that its ranks share, or as it is where they cannot."""
    if group.size == 1:
        return group
    found = connect(group.handle, group.rank, group.size, seconds)
    if isinstance(found, SharedMemory):
        return replace(group, shared=found)
    if dist.get_rank() == 0:
        print(f"hydratron: {found}: ranks go through gloo", file=sys.stderr)
    return group
