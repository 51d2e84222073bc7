"""Linear layers and the embedding, split over the ranks of one replica (paper, section 3).

Shapes: b batch, s sequence, i input features, o output features, V padded vocabulary, t group size.
Weights are created empty; `models.init` fills them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.parallel.mappings import reduce_from_tensor_model_parallel_region
from hydratron.parallel.mesh import ParallelGroup
from hydratron.parallel.regions import Region
from hydratron.parallel.sharding import share

Device = torch.device | str | None


class ColumnParallelLinear(nn.Module):
    """Y = XA + b with A split by columns: each rank computes its own o / t output features.

    [b, s, i] -> [b, s, o / t]; the block of `region` begins here.
    """

    def __init__(
        self, in_features: int, out_features: int, region: Region, device: Device = None
    ) -> None:
        super().__init__()
        self.region = region
        rows = share(out_features, region.group.size, "out_features")
        self.weight = nn.Parameter(torch.empty(rows, in_features, device=device))
        self.bias = nn.Parameter(torch.empty(rows, device=device))

    def forward(self, x: Tensor) -> Tensor:
        return self.region.linear(x, self.weight, self.bias)


class RowParallelLinear(nn.Module):
    """Y = XA + b with A split by rows: each rank adds up its own i / t input features.

    [b, s, i / t] -> [b, s, o]; the block of `region` ends here.  The bias is whole on every rank
    and added once, after it.
    """

    def __init__(
        self, in_features: int, out_features: int, region: Region, device: Device = None
    ) -> None:
        super().__init__()
        self.region = region
        columns = share(in_features, region.group.size, "in_features")
        self.weight = nn.Parameter(torch.empty(out_features, columns, device=device))
        self.bias = nn.Parameter(torch.empty(out_features, device=device))

    def forward(self, x: Tensor) -> Tensor:
        return self.region.leave(F.linear(x, self.weight)) + self.bias


class VocabParallelEmbedding(nn.Module):
    """Token embeddings; rank r holds the rows of tokens [r V / t, (r + 1) V / t).

    [b, s] int64 -> [b, s, h], whole on every rank.  Tokens of other ranks give zero here and arrive
    through g.
    """

    def __init__(
        self,
        padded_vocab_size: int,
        hidden_size: int,
        group: ParallelGroup,
        device: Device = None,
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
