"""The transformer layer: two residual lines, whose LayerNorm placement is data (paper, Figure 7).

Shapes: b batch, s sequence, h hidden, f MLP width, t group size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.attention import SelfAttention
from hydratron.models.placements import Placement
from hydratron.parallel.layers import ColumnParallelLinear, RowParallelLinear
from hydratron.parallel.mesh import ParallelGroup
from hydratron.parallel.random import RandomStreams

# The values of `model.gelu` as torch calls them.
GELU = {"tanh": "tanh", "erf": "none"}


class Residual(nn.Module):
    """A sublayer around which the residual stream flows, normalised where `placement` says."""

    def __init__(
        self,
        sublayer: nn.Module,
        norm: Callable[[], nn.Module],
        placement: Placement,
        scale: float,
    ) -> None:
        super().__init__()
        self.sublayer, self.place, self.scale = sublayer, placement.residual, scale
        self.norm_names = ["norm" if i == 1 else f"norm{i}" for i in range(1, placement.norms + 1)]
        for name in self.norm_names:
            self.add_module(name, norm())

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        sublayer = self.sublayer if mask is None else partial(self.sublayer, mask=mask)
        norms = [getattr(self, name) for name in self.norm_names]
        return self.place(x, sublayer, self.scale, *norms)


class MLP(nn.Module):
    """Z = GeLU(X A) B, [b, s, h] -> [b, s, h]: A split by columns, B by rows (paper, Figure 3a).

    Split the other way round, GeLU would need the sum first: GeLU(x + y) != GeLU(x) + GeLU(y).
    """

    def __init__(
        self,
        hidden_size: int,
        ffn_hidden_size: int,
        group: ParallelGroup,
        *,
        dropout: float = 0.0,
        gelu: str = "tanh",
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.dropout, self.approximate = dropout, GELU[gelu]
        self.dense_h_to_4h = ColumnParallelLinear(
            hidden_size, ffn_hidden_size, group, device=device
        )
        self.dense_4h_to_h = RowParallelLinear(ffn_hidden_size, hidden_size, group, device=device)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.dense_h_to_4h(x), approximate=self.approximate)  # [b, s, f / t]
        return F.dropout(self.dense_4h_to_h(y), self.dropout, self.training)


class TransformerLayer(nn.Module):
    """[b, s, h] -> [b, s, h]: attention, then MLP; one all-reduce each, forward and backward."""

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        ffn_hidden_size: int,
        group: ParallelGroup,
        streams: RandomStreams,
        *,
        causal: bool,
        placement: Placement,
        residual_scale: float,
        dropout: float = 0.0,
        gelu: str = "tanh",
        fused_attention: bool = True,
        norm_eps: float = 1e-5,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        attention = SelfAttention(
            hidden_size, num_attention_heads, group, streams,
            causal=causal, dropout=dropout, fused=fused_attention, device=device,
        )  # fmt: skip
        mlp = MLP(hidden_size, ffn_hidden_size, group, dropout=dropout, gelu=gelu, device=device)
        norm = partial(nn.LayerNorm, hidden_size, eps=norm_eps, device=device)
        self.attention = Residual(attention, norm, placement, residual_scale)
        self.mlp = Residual(mlp, norm, placement, residual_scale)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.attention(x, mask)
        return self.mlp(x)
