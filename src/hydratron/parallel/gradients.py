"""Gradients of all ranks as one: summing over replicas, and the norm without double counting."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from hydratron.parallel.mesh import ENDS, TENSOR, Mesh, ParallelGroup
from hydratron.parallel.sharding import ParamTable

# One bucket per collective amortises its latency; 25 MB is where torch's own DDP sets it.
BUCKET_BYTES = 25 * 2**20
# torch's fp32 norm of a whole matrix is off by 2e-5 at 1.6 million elements, and by another amount
# for half of it; the norms of pieces, added up in fp64, are off by 1e-8 in the same time.
NORM_PIECE = 2**14


def reduce_gradients(
    parameters: Mapping[str, nn.Parameter],
    table: ParamTable,
    mesh: Mesh,
    done: Container[str] = (),
) -> dict[str, Tensor]:
    """Sum up every gradient over replicas and the axes of its spec, in place; name -> gradient.

    `done` are the names of those that are summed over the replicas already.
    """
    found = {name: p.grad for name, p in parameters.items() if p.grad is not None}
    axes = dict.fromkeys(axis for name in found for axis in table[name].summed)
    axes.pop(ENDS, None)
    for axis in axes:
        sum_gradients([g for n, g in found.items() if axis in table[n].summed], mesh[axis])
    # Whole ones last, as ever: the order decides which share a bucket.
    ordered = sorted(found, key=lambda name: table[name].shard_dim is None)
    sum_gradients([found[name] for name in ordered if name not in done], mesh.data)
    # After the replicas, whose sums have other roundings in other buckets: what both ends hold
    # has to stay the same to the last bit.
    sum_gradients([g for n, g in found.items() if ENDS in table[n].summed], mesh.ends)
    return found


def sum_gradients(gradients: Sequence[Tensor], group: ParallelGroup) -> None:
    """Replace every gradient by its sum over the group, in place, bucket by bucket."""
    if group.size == 1:
        return
    for bucket in _buckets(gradients):
        flat = group.all_reduce(torch.cat([gradient.reshape(-1) for gradient in bucket]))
        for gradient, part in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
            gradient.copy_(part.view_as(gradient))


def squared_norm(
    gradients: Mapping[str, Tensor], table: ParamTable, mesh: Mesh, device: torch.device
) -> Tensor:
    """This rank's share of the squared 2-norm of the whole gradient, a fp64 scalar.

    The shares of all ranks of a replica add up to it: a gradient that several of them hold counts
    on the first alone, so that the value is that of one process that holds the whole model.  On
    the others it counts 0 times, which is NaN where it is not finite.
    """
    norms: dict[bool, list[Tensor]] = {True: [], False: []}
    for name in sorted(gradients, key=lambda name: table[name].shard_dim is None):
        spec = table[name]
        copied = spec.summed if spec.shard_dim is not None else (TENSOR, *spec.summed)
        first = all(mesh[axis].rank == 0 for axis in copied)
        norms[first] += _piece_norms(gradients[name].reshape(-1))
    total = torch.zeros((), dtype=torch.float64, device=device)
    for first, found in norms.items():
        if found:
            total = total + first * torch.cat(found).double().square().sum()
    return total


def _piece_norms(flat: Tensor) -> Iterator[Tensor]:
    """The norms of consecutive pieces of a vector, fp32."""
    whole = flat.numel() // NORM_PIECE * NORM_PIECE
    if whole:
        rows = flat[:whole].view(-1, NORM_PIECE)
        yield torch.linalg.vector_norm(rows, dim=1, dtype=torch.float32)
    if whole < flat.numel():
        yield torch.linalg.vector_norm(flat[whole:].unsqueeze(0), dim=1, dtype=torch.float32)


def _buckets(gradients: Sequence[Tensor]) -> Iterable[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        nbytes = gradient.numel() * gradient.element_size()
        if bucket and (size + nbytes > BUCKET_BYTES or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += nbytes
    if bucket:
        yield bucket
