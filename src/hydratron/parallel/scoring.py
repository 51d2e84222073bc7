"""How likely a target is, and whether it is the likeliest token, with the vocabulary split.

Rows of padding are left out: the softmax is over the raw vocabulary, so that the scores do not
depend on how far a model's table was padded.  Sums are fp32; nothing has a gradient.

Shapes: n tokens, h hidden, V padded vocabulary, t group size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from hydratron.parallel.mesh import ParallelGroup
from hydratron.parallel.regions import to_compute_type


class TargetScores(NamedTuple):
    """Equal on all ranks of the group."""

    losses: Tensor  # [n] -ln p(target), fp32
    right: Tensor  # [n] whether the target is the likeliest token; of equals the first one is


def vocab_parallel_target_scores(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    group: ParallelGroup,
    vocab_size: int,
    chunk_tokens: int,
) -> TargetScores:
    """The scores of n targets, of which the logits of `chunk_tokens` exist at a time.

    hidden [n, h] (the same on all ranks), weight [V / t, h] (this rank's rows of the tied
    embedding), targets [n] below `vocab_size`, which is that of the tokenizer.
    """
    first = group.rank * weight.shape[0]
    # A rank may hold nothing but padding.
    real = min(max(vocab_size - first, 0), weight.shape[0])
    hidden = to_compute_type(hidden)
    rows = weight[:real].to(hidden.dtype)
    parts = [
        _chunk(hidden[i : i + chunk_tokens], rows, targets[i : i + chunk_tokens], group, first)
        for i in range(0, len(targets), chunk_tokens)
    ]
    if not parts:
        return TargetScores(hidden.new_zeros(0, dtype=torch.float32), targets.bool())
    return TargetScores(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _chunk(
    hidden: Tensor, rows: Tensor, targets: Tensor, group: ParallelGroup, first: int
) -> TargetScores:
    if len(rows):
        z = F.linear(hidden, rows).float()
        best, place = z.max(dim=-1)
    else:
        z = hidden.new_zeros(len(hidden), 1, dtype=torch.float32)
        best, place = z[:, 0] - torch.inf, torch.zeros_like(targets)
    peak = group.all_reduce(best.clone(), dist.ReduceOp.MAX)
    beyond = torch.iinfo(targets.dtype).max
    winner = torch.where(best == peak, place + first, beyond)
    winner = group.all_reduce(winner, dist.ReduceOp.MIN)
    columns = targets - first
    owned = (columns >= 0) & (columns < len(rows))
    hit = z.gather(-1, columns.masked_fill(~owned, 0).unsqueeze(-1)).squeeze(-1) - peak
    total = z.sub_(peak.unsqueeze(-1)).exp_().sum(dim=-1)
    # Two sums of one number a token, sent together.
    sums = torch.stack([hit.masked_fill(~owned, 0.0), total.masked_fill(best == -torch.inf, 0.0)])
    hit, total = group.all_reduce(sums)
    return TargetScores(total.log() - hit, winner == targets)
