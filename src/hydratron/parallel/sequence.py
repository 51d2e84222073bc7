"""Sequence parallelism: between the blocks every rank holds its own s / t tokens.

Korthikanti et al. 2022 (arXiv:2205.05198), section 4.2.2.  What f and g move as an all-reduce goes
as its two halves, so that LayerNorm, dropout and the residual stream are split as well:

    enter  forward all-gather      backward reduce-scatter   each rank has a part of the gradient
    leave  forward reduce-scatter  backward all-gather
    split  forward own tokens      backward all-gather
    join   forward all-gather      backward own tokens       every rank has the whole gradient

The two gathers differ in what follows them: after `join` all ranks compute the same, so that a sum
over them would be t times too much.  Shapes: b batch, s sequence, t group size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hydratron.parallel.mesh import ParallelGroup
from hydratron.parallel.regions import Region, TensorParallelRegion, to_compute_type
from hydratron.parallel.sharding import share

Move = Callable[[Tensor, ParallelGroup], Tensor]


def region_of(group: ParallelGroup, sequence_parallel: bool) -> Region:
    """The region of a network's blocks; a group of one rank has nothing to split."""
    if sequence_parallel and group.size > 1:
        return SequenceParallelRegion(group)
    return TensorParallelRegion(group)


class SequenceParallelRegion:
    """All-gather on the way in, reduce-scatter on the way out, [b, s / t, ...] in between.

    The parameters that work in between get the gradients of a rank's own tokens: their specs say
    so (`ParamTable.in_sequence`).  Raises ValueError for a sequence that t does not divide.
    """

    def __init__(self, group: ParallelGroup) -> None:
        self.group = group

    def enter(self, x: Tensor) -> Tensor:
        """After the cast to the compute type, as f."""
        return self._moved(to_compute_type(x), _gathered, _reduced)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Keeps a rank's own tokens for backward, and gathers all of them there again."""
        x, weight, bias = (to_compute_type(each) for each in (x, weight, bias))
        y: Tensor = _GatheredLinear.apply(x, weight, bias, self.group)
        return y

    def leave(self, x: Tensor) -> Tensor:
        return self._moved(x, _reduced, _gathered)

    def split(self, x: Tensor) -> Tensor:
        return self._moved(x, _own, _gathered)

    def join(self, x: Tensor) -> Tensor:
        return self._moved(x, _gathered, _own)

    def _moved(self, x: Tensor, there: Move, back: Move) -> Tensor:
        y: Tensor = _Moved.apply(x, self.group, there, back)
        return y


def _by_rank(x: Tensor, group: ParallelGroup) -> Tensor:
    """[b, s, ...] -> [t, b, s / t, ...], a view."""
    tokens = share(x.shape[1], group.size, "the sequence of")
    return x.unflatten(1, (group.size, tokens)).transpose(0, 1)


def _own(x: Tensor, group: ParallelGroup) -> Tensor:
    return _by_rank(x, group)[group.rank].clone(memory_format=torch.contiguous_format)


def _gathered(x: Tensor, group: ParallelGroup) -> Tensor:
    return group.all_gather_stacked(x).transpose(0, 1).flatten(1, 2)


def _reduced(x: Tensor, group: ParallelGroup) -> Tensor:
    return group.reduce_scatter(_by_rank(x, group))


class _Moved(torch.autograd.Function):
    """One movement forward and its transpose backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: ParallelGroup, there: Move, back: Move) -> Tensor:
        ctx.group, ctx.back = group, back
        return there(x, group)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.back(grad, ctx.group), None, None, None


class _GatheredLinear(torch.autograd.Function):
    """enter(x) W^T + b without keeping enter(x): 1 / t of the memory for one more all-gather."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, group: ParallelGroup) -> Tensor:
        ctx.group = group
        ctx.save_for_backward(x, weight)
        return F.linear(_gathered(x, group), weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        rows = grad.flatten(0, 1)  # [b s, o / t]
        into_x = into_weight = None
        if needs_weight:
            into_weight = rows.t() @ _gathered(x, ctx.group).flatten(0, 1)
        if needs_x:
            into_x = _reduced(grad @ weight, ctx.group)
        return into_x, into_weight, rows.sum(dim=0) if needs_bias else None, None
