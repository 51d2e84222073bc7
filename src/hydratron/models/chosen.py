"""A causal network's hidden states at some positions alone, for what scores a few of a window.

All layers but the last compute every position, because those after it look back at them.  Of the
last one the others are only looked at: it needs their keys and values, and neither their queries
nor its MLP.

Shapes: b batch, s sequence, m chosen positions, h hidden, a heads, d head dimension, t group size.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from hydratron.models.attention import SelfAttention, materialised_attention
from hydratron.models.language import LanguageModel
from hydratron.models.transformer import Residual, TransformerLayer


def hidden_at(network: LanguageModel, tokens: Tensor, positions: Tensor) -> Tensor:
    """The network's hidden states of tokens [b, s] at positions [b, m] -> [b, m, h].

    Without dropout, and for a network whose layers are all here; equal on all ranks.
    """
    x = network.begin(network.embed(tokens))
    *layers, last = network.layers.values()
    for layer in layers:
        x = layer(x)
    return network.end(_layer_at(cast(TransformerLayer, last), x, positions))


def _layer_at(layer: TransformerLayer, x: Tensor, positions: Tensor) -> Tensor:
    """[b, s, h] -> [b, m, h], what the layer gives there."""
    chosen = x.gather(1, positions.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
    before = torch.arange(x.shape[1], device=x.device) <= positions.unsqueeze(-1)  # [b, m, s]
    residual = layer.attention
    attention, seen = cast(SelfAttention, residual.sublayer), _read(residual, x)

    def attend(queries: Tensor) -> Tensor:
        return _attend(attention, queries, seen, before.unsqueeze(1))

    chosen = residual.place(chosen, attend, residual.scale, *residual.norms)
    moved: Tensor = layer.mlp(chosen)
    return moved


def _read(residual: Residual, x: Tensor) -> Tensor:
    """What the sublayer reads of the residual stream: whatever the line hands to it."""
    read = []

    def note(y: Tensor) -> Tensor:
        read.append(y)
        return y

    residual.place(x, note, residual.scale, *residual.norms)
    return read[0]


def _attend(attention: SelfAttention, x: Tensor, seen: Tensor, mask: Tensor) -> Tensor:
    """Attention of x [b, m, h] to `seen` [b, s, h], as far as the mask [b, 1, m, s] lets it."""
    heads, d, whole = attention.heads, attention.head_dim, attention.query_key_value
    weight = whole.weight.view(heads, 3, d, -1)  # of this rank's a / t heads
    bias = whole.bias.view(heads, 3, d)
    q = F.linear(whole.region.enter(x), weight[:, 0].flatten(0, 1), bias[:, 0].flatten())
    kv = F.linear(whole.region.enter(seen), weight[:, 1:].flatten(0, 2), bias[:, 1:].flatten())
    k, v = kv.unflatten(-1, (heads, 2, d)).permute(3, 0, 2, 1, 4)  # each [b, a / t, s, d]
    q = q.unflatten(-1, (heads, d)).transpose(1, 2)  # [b, a / t, m, d]
    fused = F.scaled_dot_product_attention
    context = (fused if attention.fused else materialised_attention)(q, k, v, attn_mask=mask)
    out: Tensor = attention.dense(context.transpose(1, 2).flatten(2))
    return out
