"""Cross-entropy over a vocabulary that is split between ranks, without gathering the logits.

Three all-reduces of one number per token replace an all-gather of V numbers per token (paper,
section 3).  Sums are fp32.  A negative target belongs to no rank: its loss is finite and means
nothing in `vocab_parallel_cross_entropy`, and is left out of `vocab_parallel_linear_loss`.

Shapes: n tokens, h hidden, V padded vocabulary, t group size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from hydratron.parallel.mesh import ParallelGroup
from hydratron.parallel.regions import TensorParallelRegion
from hydratron.parallel.sharding import share


class _Scores(NamedTuple):
    losses: Tensor  # [n] ln(sum exp z) - z[target], fp32
    probabilities: Tensor  # [n, V / t] this rank's columns of the softmax, fp32
    columns: Tensor  # [n] the target's column here, 0 where it is not here
    owned: Tensor  # [n] whether the target's column is here


def _scores(logits: Tensor, targets: Tensor, group: ParallelGroup, spent: bool = False) -> _Scores:
    """`spent`: nobody needs the logits any more, so that their memory may be used."""
    z = logits.float()
    spent |= z is not logits
    del logits  # In a narrow type it would lie beside z.
    peak = group.all_reduce(z.amax(dim=-1), dist.ReduceOp.MAX)
    z = z.sub_(peak.unsqueeze(-1)) if spent else z - peak.unsqueeze(-1)
    columns = targets - group.rank * z.shape[-1]
    owned = (columns >= 0) & (columns < z.shape[-1])  # never so for a negative target
    columns = columns.masked_fill(~owned, 0)
    hit = z.gather(-1, columns.unsqueeze(-1)).squeeze(-1).masked_fill(~owned, 0.0)
    hit = group.all_reduce(hit)
    exp = z.exp_()
    total = group.all_reduce(exp.sum(dim=-1))
    return _Scores(total.log() - hit, exp.div_(total.unsqueeze(-1)), columns, owned)


def _logit_gradient(scores: _Scores, upstream: Tensor) -> Tensor:
    """d loss / d z = (softmax - onehot(target)) * upstream, in the memory of the softmax."""
    gradient, owned = scores.probabilities, scores.owned.to(scores.probabilities.dtype)
    gradient.scatter_add_(-1, scores.columns.unsqueeze(-1), -owned.unsqueeze(-1))
    return gradient.mul_(upstream.unsqueeze(-1))


def vocab_parallel_cross_entropy(
    logits: Tensor, targets: Tensor, group: ParallelGroup, padded_vocab_size: int
) -> Tensor:
    """Loss of each token, [n] fp32, from this rank's columns of the logits [n, V / t].

    Raises ValueError when the logits are not V / t wide: gathered logits would give a loss that is
    off by ln t, and a wrong gradient, without any other sign.
    """
    width = share(padded_vocab_size, group.size, "padded_vocab_size")
    if logits.shape[-1] != width:
        raise ValueError(
            f"logits are {logits.shape[-1]} wide, not {padded_vocab_size} / {group.size} = {width}"
        )
    losses: Tensor = _CrossEntropy.apply(logits, targets, group)
    return losses


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, group: ParallelGroup) -> Tensor:
        scores = _scores(logits, targets, group)
        ctx.save_for_backward(scores.probabilities, scores.columns, scores.owned)
        ctx.dtype = logits.dtype
        return scores.losses

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        probabilities, columns, owned = ctx.saved_tensors
        scores = _Scores(upstream, probabilities.clone(), columns, owned)
        return _logit_gradient(scores, upstream).to(ctx.dtype), None, None


def vocab_parallel_linear_loss(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    group: ParallelGroup,
    chunk_tokens: int,
    bias: Tensor | None = None,
) -> Tensor:
    """Sum of the losses of all tokens with a target >= 0, a fp32 scalar, from the hidden states.

    hidden [n, h] (the same on all ranks), weight [V / t, h] (this rank's rows of the tied
    embedding), targets [n], bias [V / t] (this rank's part).  The logits of `chunk_tokens` tokens
    exist at a time: the gradients are made in the forward pass, while the chunk is there, so that
    nothing is computed twice.
    """
    hidden = TensorParallelRegion(group).enter(hidden)
    total: Tensor = _LinearLoss.apply(
        hidden, weight, bias, targets, group, chunk_tokens, torch.is_grad_enabled()
    )
    return total


class _LinearLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        group: ParallelGroup,
        chunk_tokens: int,
        with_gradient: bool,
    ) -> Tensor:
        rows = weight.to(hidden.dtype)
        offsets = None if bias is None else bias.to(hidden.dtype)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        hidden_gradient = torch.empty_like(hidden) if with_gradient else None
        weight_gradient = torch.zeros_like(weight) if with_gradient else None
        bias_gradient = None if bias is None else torch.zeros_like(bias)
        for first in range(0, hidden.shape[0], chunk_tokens):
            part = slice(first, first + chunk_tokens)
            counted = (targets[part] >= 0).float()
            scores = _scores(F.linear(hidden[part], rows, offsets), targets[part], group, True)
            total += (scores.losses * counted).sum()
            if hidden_gradient is not None and weight_gradient is not None:
                gradient = _logit_gradient(scores, counted)
                if bias_gradient is not None:
                    bias_gradient += gradient.sum(dim=0)
                gradient = gradient.to(hidden.dtype)
                torch.mm(gradient, rows, out=hidden_gradient[part])
                _accumulate(weight_gradient, gradient, hidden[part])
        if hidden_gradient is not None and weight_gradient is not None:
            ctx.save_for_backward(hidden_gradient, weight_gradient, bias_gradient)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = (g if g is None else _times(g, upstream) for g in ctx.saved_tensors)
        return *gradients, *(None,) * 4


def _times(gradient: Tensor, factor: Tensor) -> Tensor:
    """In its own type; a loss scale may be more than fp16 can hold where the product is not."""
    if gradient.dtype == torch.float16:
        return (gradient.float() * factor).to(gradient.dtype)
    return gradient * factor.to(gradient.dtype)


def _accumulate(total: Tensor, gradient: Tensor, hidden: Tensor) -> None:
    """total += gradient^T hidden, summed in the (wider) type of `total`."""
    if total.dtype == gradient.dtype:
        total.addmm_(gradient.t(), hidden)
    else:
        total += gradient.t() @ hidden
