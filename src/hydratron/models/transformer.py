"""The transformer layer: two residual lines, whose LayerNorm placement is data (paper, Figure 7).

Shapes: b batch, s sequence, h hidden, f MLP width, t group size.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.attention import SelfAttention
from hydratron.models.cache import KeysAndValues
from hydratron.models.gelu import GELU, gelu
from hydratron.models.norms import NORMS
from hydratron.models.placements import PLACEMENTS
from hydratron.models.shape import Shape
from hydratron.parallel.layers import ColumnParallelLinear, Device, RowParallelLinear
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.regions import Region


class Residual(nn.Module):
    """A sublayer around which the residual stream flows, normalised where the placement says."""

    def __init__(self, sublayer: nn.Module, shape: Shape, device: Device) -> None:
        super().__init__()
        placement = PLACEMENTS[shape.placement]
        own = placement.residual_scale(shape.num_layers)
        self.scale = own if shape.residual_scale is None else shape.residual_scale
        self.sublayer, self.place = sublayer, placement.residual
        self.norm_names = ["norm" if i == 1 else f"norm{i}" for i in range(1, placement.norms + 1)]
        for name in self.norm_names:
            self.add_module(name, NORMS[shape.norm](shape.hidden_size, shape.norm_eps, device))

    def forward(
        self, x: Tensor, mask: Tensor | None = None, cache: KeysAndValues | None = None
    ) -> Tensor:
        sublayer = self.sublayer if mask is None else partial(self.sublayer, mask=mask)
        if cache is not None:
            sublayer = partial(sublayer, cache=cache)
        return self.place(x, sublayer, self.scale, *self.norms)

    @property
    def norms(self) -> list[nn.Module]:
        return [getattr(self, name) for name in self.norm_names]


class MLP(nn.Module):
    """Z = GeLU(X A) B, [b, s, h] -> [b, s, h]: A split by columns, B by rows (paper, Figure 3a).

    Split the other way round, GeLU would need the sum first: GeLU(x + y) != GeLU(x) + GeLU(y).
    """

    def __init__(
        self, shape: Shape, region: Region, streams: RandomStreams, device: Device
    ) -> None:
        super().__init__()
        h, f = shape.hidden_size, shape.ffn
        self.streams, self.recompute = streams, shape.recompute == "mlp"
        self.dropout, self.approximate = shape.dropout, GELU[shape.gelu]
        self.dense_h_to_4h = ColumnParallelLinear(h, f, region, device)
        self.dense_4h_to_h = RowParallelLinear(f, h, region, device)

    def forward(self, x: Tensor) -> Tensor:
        again = self.recompute and torch.is_grad_enabled()
        y = self.streams.recompute(self._sum, x) if again else self._sum(x)
        return F.dropout(y, self.dropout, self.training)

    def _sum(self, x: Tensor) -> Tensor:
        y = gelu(self.dense_h_to_4h(x), self.approximate)  # [b, s, f / t]
        z: Tensor = self.dense_4h_to_h(y)
        return z


class TransformerLayer(nn.Module):
    """[b, s, h] -> [b, s, h]: attention, then MLP; one all-reduce each, forward and backward."""

    def __init__(
        self, shape: Shape, region: Region, streams: RandomStreams, causal: bool, device: Device
    ) -> None:
        super().__init__()
        attention = SelfAttention(shape, region, streams, causal, device)
        self.attention = Residual(attention, shape, device)
        self.mlp = Residual(MLP(shape, region, streams, device), shape, device)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, cache: KeysAndValues | None = None
    ) -> Tensor:
        x = self.attention(x, mask, cache)
        return self.mlp(x)
