"""Linear layers and the embedding, split over the ranks of one replica (paper, section 3).

Shapes: b batch, s sequence, i input features, o output features, V padded vocabulary, t group size.
Weights are created empty; `models.init` fills them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.parallel.mappings import (
    copy_to_tensor_model_parallel_region,
    gather_from_tensor_model_parallel_region,
    reduce_from_tensor_model_parallel_region,
    scatter_to_tensor_model_parallel_region,
)
from hydratron.parallel.mesh import ParallelGroup
from hydratron.parallel.sharding import share


def to_compute_type(x: Tensor) -> Tensor:
    """Cast to the autocast type before f, so that its backward all-reduce carries that type.

    LayerNorm gives fp32 under autocast; an f placed before the cast would send twice the bytes.
    """
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        return x.to(torch.get_autocast_dtype(kind))
    return x


class ColumnParallelLinear(nn.Module):
    """Y = XA + b with A split by columns: each rank computes its own o / t output features.

    [b, s, i] -> [b, s, o / t], or [b, s, o] with `gather_output`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        group: ParallelGroup,
        *,
        gather_output: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.group, self.gather_output = group, gather_output
        rows = share(out_features, group.size, "out_features")
        self.weight = nn.Parameter(torch.empty(rows, in_features, device=device))
        self.bias = nn.Parameter(torch.empty(rows, device=device))

    def forward(self, x: Tensor) -> Tensor:
        x = copy_to_tensor_model_parallel_region(to_compute_type(x), self.group)
        y = F.linear(x, self.weight, self.bias)
        return gather_from_tensor_model_parallel_region(y, self.group) if self.gather_output else y


class RowParallelLinear(nn.Module):
    """Y = XA + b with A split by rows: each rank adds up its own i / t input features.

    [b, s, i / t] -> [b, s, o]; with `input_is_parallel=False` it takes [b, s, i] and slices it.
    The bias is whole on every rank and added once, after g.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        group: ParallelGroup,
        *,
        input_is_parallel: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.group, self.input_is_parallel = group, input_is_parallel
        columns = share(in_features, group.size, "in_features")
        self.weight = nn.Parameter(torch.empty(out_features, columns, device=device))
        self.bias = nn.Parameter(torch.empty(out_features, device=device))

    def forward(self, x: Tensor) -> Tensor:
        if not self.input_is_parallel:
            x = scatter_to_tensor_model_parallel_region(to_compute_type(x), self.group)
        y = reduce_from_tensor_model_parallel_region(F.linear(x, self.weight), self.group)
        return y + self.bias


class VocabParallelEmbedding(nn.Module):
    """Token embeddings; rank r holds the rows of tokens [r V / t, (r + 1) V / t).

    [b, s] int64 -> [b, s, h].  Tokens of other ranks give zero here and arrive through g.
    """

    def __init__(
        self,
        padded_vocab_size: int,
        hidden_size: int,
        group: ParallelGroup,
        *,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.group = group
        rows = share(padded_vocab_size, group.size, "padded_vocab_size")
        self.first, self.rows = rows * group.rank, rows
        self.weight = nn.Parameter(torch.empty(rows, hidden_size, device=device))

    def forward(self, tokens: Tensor) -> Tensor:
        if self.group.size == 1:
            return F.embedding(tokens, self.weight)
        local = tokens - self.first
        foreign = (local < 0) | (local >= self.rows)
        x = F.embedding(local.masked_fill(foreign, 0), self.weight)
        x = x.masked_fill(foreign.unsqueeze(-1), 0.0)
        return reduce_from_tensor_model_parallel_region(x, self.group)
