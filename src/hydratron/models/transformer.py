"""The transformer layer: two residual lines, whose LayerNorm placement is data (paper, Figure 7).

Shapes: b batch, s sequence, h hidden, f MLP width, t group size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.attention import SelfAttention
from hydratron.parallel.layers import ColumnParallelLinear, RowParallelLinear
from hydratron.parallel.mesh import ParallelGroup
from hydratron.parallel.random import RandomStreams

Function = Callable[[Tensor], Tensor]


def pre(x: Tensor, sublayer: Function, norm: Function, scale: float) -> Tensor:
    """x + f(LN(x)): the paper's rearrangement, and GPT-2's block."""
    return torch.add(sublayer(norm(x)), x, alpha=scale)


def post(x: Tensor, sublayer: Function, norm: Function, scale: float) -> Tensor:
    """LN(x + f(x)): the original transformer's and BERT's block."""
    return norm(torch.add(sublayer(x), x, alpha=scale))


PLACEMENTS: dict[str, Callable[[Tensor, Function, Function, float], Tensor]] = {
    "pre": pre,
    "post": post,
}


class Residual(nn.Module):
    """A sublayer around which the residual stream flows, normalised where `placement` says."""

    def __init__(
        self, sublayer: nn.Module, norm: nn.Module, placement: str, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.sublayer, self.norm = sublayer, norm
        self.place, self.scale = PLACEMENTS[placement], scale

    def forward(self, x: Tensor) -> Tensor:
        return self.place(x, self.sublayer, self.norm, self.scale)


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
        self.dropout, self.approximate = dropout, {"tanh": "tanh", "erf": "none"}[gelu]
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
        dropout: float = 0.0,
        gelu: str = "tanh",
        fused_attention: bool = True,
        placement: str = "pre",
        residual_scale: float = 1.0,
        norm_eps: float = 1e-5,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        attention = SelfAttention(
            hidden_size, num_attention_heads, group, streams,
            dropout=dropout, fused=fused_attention, device=device,
        )  # fmt: skip
        mlp = MLP(hidden_size, ffn_hidden_size, group, dropout=dropout, gelu=gelu, device=device)

        def residual(sublayer: nn.Module) -> Residual:
            norm = nn.LayerNorm(hidden_size, eps=norm_eps, device=device)
            return Residual(sublayer, norm, placement, residual_scale)

        self.attention, self.mlp = residual(attention), residual(mlp)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention(x)
        return self.mlp(x)
