"""The conjugate operators of the paper's Figure 3, each the other's transpose.

    f  copy_to       forward identity     backward all-reduce   before a column-parallel linear
    g  reduce_from   forward all-reduce   backward identity     after a row-parallel linear
       gather_from   forward all-gather   backward own slice    along the last dimension

All three return their input untouched in a group of one rank.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hydratron.parallel.mesh import ParallelGroup


def copy_to_tensor_model_parallel_region(x: Tensor, group: ParallelGroup) -> Tensor:
    """f: every rank uses the same x for its own columns, so the gradients of x add up."""
    return x if group.size == 1 else _Copy.apply(x, group)


def reduce_from_tensor_model_parallel_region(x: Tensor, group: ParallelGroup) -> Tensor:
    """g: every rank holds a partial sum of x; the result is the whole sum on all of them."""
    return x if group.size == 1 else _Reduce.apply(x, group)


def gather_from_tensor_model_parallel_region(x: Tensor, group: ParallelGroup) -> Tensor:
    """Join the slices of all ranks along the last dimension, [..., n / size] -> [..., n]."""
    return x if group.size == 1 else _Gather.apply(x, group)


def _all_reduced(x: Tensor, group: ParallelGroup) -> Tensor:
    # A copy: autograd may have handed the same tensor to somebody else.
    return group.all_reduce(x.clone(memory_format=torch.contiguous_format))


class _Copy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: ParallelGroup) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _all_reduced(grad, ctx.group), None


class _Reduce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: ParallelGroup) -> Tensor:
        return _all_reduced(x, group)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: ParallelGroup) -> Tensor:
        ctx.group = group
        return torch.cat(group.all_gather(x), dim=-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.chunk(ctx.group.size, dim=-1)[ctx.group.rank].contiguous(), None
