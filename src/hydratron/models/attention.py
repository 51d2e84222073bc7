"""Self-attention whose heads are split over the ranks (paper, section 3, Figure 3b).

Shapes: b batch, s sequence, h hidden, a heads, d = h / a head dimension, t group size.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.attention_rule import fused_is_faster
from hydratron.models.cache import KeysAndValues, seen_by_new
from hydratron.models.shape import Shape
from hydratron.parallel.layers import ColumnParallelLinear, Device, RowParallelLinear
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.regions import Region
from hydratron.parallel.sharding import share


class SelfAttention(nn.Module):
    """[b, s, h] -> [b, s, h]; each rank computes a / t whole heads.

    With `causal` a token sees itself and those before it, otherwise all that the mask lets it see.
    The rows of `query_key_value` are ordered (heads, 3, d), so that a contiguous split of them
    gives every rank the queries, keys and values of its own heads.
    """

    def __init__(
        self, shape: Shape, region: Region, streams: RandomStreams, causal: bool, device: Device
    ) -> None:
        super().__init__()
        h = shape.hidden_size
        self.heads = share(shape.num_attention_heads, region.group.size, "num_attention_heads")
        self.head_dim = share(h, shape.num_attention_heads, "hidden_size")
        self.streams, self.causal = streams, causal
        self.dropout, self.fused = shape.dropout, shape.fused_attention
        if self.fused is None:
            self.fused = fused_is_faster(shape.seq_length, torch.device(device or "cpu").type)
        self.recompute = shape.recompute == "attention"
        self.query_key_value = ColumnParallelLinear(h, 3 * h, region, device)
        self.dense = RowParallelLinear(h, h, region, device)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, cache: KeysAndValues | None = None
    ) -> Tensor:
        """`mask` [b, 1, 1, s], bool: which tokens may be seen by all others; not with `causal`.

        `cache` holds the tokens before x and takes those of x; with `causal` alone.
        """
        qkv = self.query_key_value(x)  # [b, s, 3 h / t]
        b, s, _ = qkv.shape
        qkv = qkv.view(b, s, self.heads, 3, self.head_dim)
        q, k, v = qkv.permute(3, 0, 2, 1, 4)  # each [b, a / t, s, d]
        if cache is None:
            again = self.recompute and torch.is_grad_enabled()
            attend = partial(self.streams.recompute, self._attend) if again else self._attend
            context = attend(q, k, v, mask)  # [b, a / t, s, d]
        else:
            context = self._attend_to_cached(q, k, v, cache)
        context = context.transpose(1, 2).reshape(b, s, self.heads * self.head_dim)
        return F.dropout(self.dense(context), self.dropout, self.training)

    def _attend_to_cached(self, q: Tensor, k: Tensor, v: Tensor, cache: KeysAndValues) -> Tensor:
        k, v = cache.extended(k, v)  # [b, a / t, c, d]
        attend = F.scaled_dot_product_attention if self.fused else materialised_attention
        return attend(q, k, v, attn_mask=seen_by_new(q.shape[2], k.shape[2], q.device))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        attend = F.scaled_dot_product_attention if self.fused else materialised_attention
        if not (self.training and self.dropout):
            return attend(q, k, v, attn_mask=mask, is_causal=self.causal)
        with self.streams.tensor_parallel():  # other heads, so other masks, on every rank
            return attend(q, k, v, attn_mask=mask, is_causal=self.causal, dropout_p=self.dropout)


def materialised_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    dropout_p: float = 0.0,
) -> Tensor:
    """softmax(q k^T / sqrt(d)) v with the [s, s] scores held, as in the paper's own code."""
    s = q.shape[-2]
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])  # [b, a / t, s, s]
    if is_causal:
        future = torch.ones(s, s, dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, -math.inf)
    if attn_mask is not None:
        # Finite, so that a sample of nothing but padding gives no NaN.
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    # The kernel sums in fp32 whatever the type; a copy in fp32 would be kept for backward.
    weights = F.dropout(scores.softmax(dim=-1).to(v.dtype), dropout_p)
    return weights @ v
