"""Gradients of all ranks as one: averaging over replicas, and the norm without double counting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from hydratron.parallel.mesh import Mesh, ParallelGroup
from hydratron.parallel.sharding import ParamTable

# One bucket per collective amortises its latency; 25 MB is where torch's own DDP sets it.
BUCKET_BYTES = 25 * 2**20
# torch's fp32 norm of a whole matrix is off by 2e-5 at 1.6 million elements, and by another amount
# for half of it; the norms of pieces, added up in fp64, are off by 1e-8 in the same time.
NORM_PIECE = 2**14


def finish_gradients(
    parameters: Mapping[str, nn.Parameter], table: ParamTable, mesh: Mesh, largest_norm: float
) -> Tensor:
    """Once per optimizer step: average over replicas, clip, and return the norm before it.

    `largest_norm` 0 turns clipping off.
    """
    sharded: list[Tensor] = []
    replicated: list[Tensor] = []
    for name, parameter in parameters.items():
        if parameter.grad is not None:
            whole = table[name].shard_dim is None
            (replicated if whole else sharded).append(parameter.grad)
    gradients = sharded + replicated
    average_gradients(gradients, mesh.data)
    device = next(iter(parameters.values())).device
    norm = gradient_norm(sharded, replicated, mesh, device)
    if largest_norm:
        clip_gradients(gradients, norm, largest_norm)
    return norm


def average_gradients(gradients: Sequence[Tensor], data: ParallelGroup) -> None:
    """Replace every gradient by its mean over the replicas, in place, bucket by bucket."""
    if data.size == 1:
        return
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
        data.all_reduce(flat).div_(data.size)
        for gradient, part in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
            gradient.copy_(part.view_as(gradient))


def gradient_norm(
    sharded: Iterable[Tensor], replicated: Iterable[Tensor], mesh: Mesh, device: torch.device
) -> Tensor:
    """The 2-norm of the whole gradient, a fp32 scalar equal on all ranks of a replica.

    Sharded gradients count on every rank; replicated ones only on the first of the group, so that
    the value is that of one process that holds the whole model.
    """
    counted = list(sharded) + (list(replicated) if mesh.tensor.rank == 0 else [])
    total = torch.zeros((), dtype=torch.float64, device=device)
    norms = [norm for gradient in counted for norm in _piece_norms(gradient.reshape(-1))]
    if norms:
        total = torch.cat(norms).double().square().sum()
    return mesh.tensor.all_reduce(total).sqrt().float()


def _piece_norms(flat: Tensor) -> Iterator[Tensor]:
    """The norms of consecutive pieces of a vector, fp32."""
    whole = flat.numel() // NORM_PIECE * NORM_PIECE
    for rows in (flat[:whole].view(-1, NORM_PIECE), flat[whole:].unsqueeze(0)):
        if rows.numel():
            yield torch.linalg.vector_norm(rows, dim=1, dtype=torch.float32)


def clip_gradients(gradients: Sequence[Tensor], norm: Tensor, largest: float) -> None:
    """Scale all gradients by `clip_scale`, in place."""
    if gradients:
        torch._foreach_mul_(list(gradients), clip_scale(norm, largest))


def clip_scale(norm: Tensor, largest: float) -> Tensor:
    """min(1, largest / (norm + 1e-6)); 1 where `largest` is 0, which turns clipping off."""
    return (largest / (norm + 1e-6)).clamp(max=1.0) if largest else torch.ones_like(norm)


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
