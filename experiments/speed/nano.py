"""Plain PyTorch of nanoGPT's shape: what somebody writes who needs one process and no library.

Shapes: b batch, s sequence, h hidden, a heads, d head dimension, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two residual lines; `by_head` orders the rows of qkv (heads, 3, d) and not (3, heads, d)."""

    def __init__(self, hidden: int, heads: int, by_head: bool) -> None:
        super().__init__()
        self.heads, self.by_head = heads, by_head
        self.head_dim = hidden // heads
        self.attention_norm = nn.LayerNorm(hidden)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)
        self.mlp_norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, 4 * hidden)
        self.down = nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.attention_norm(x))
        return x + self.down(F.gelu(self.up(self.mlp_norm(x))))

    def attend(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x)  # [b, s, 3 h]
        b, s, _ = qkv.shape
        if self.by_head:
            # As many heads as are here: a plan for several ranks splits the rows.
            q, k, v = qkv.view(b, s, -1, 3, self.head_dim).permute(3, 0, 2, 1, 4)
        else:
            parts = qkv.split(qkv.shape[-1] // 3, dim=-1)
            q, k, v = (part.view(b, s, self.heads, self.head_dim).transpose(1, 2) for part in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # [b, a, s, d]
        return self.proj(y.transpose(1, 2).reshape(b, s, -1))


class Nano(nn.Module):
    """A causal language model; its head is its word embedding."""

    def __init__(
        self, layers: int, hidden: int, heads: int, seq: int, vocab: int, by_head: bool = False
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocab, hidden)
        self.positions = nn.Embedding(seq, hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads, by_head) for _ in range(layers))
        self.final_norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, vocab, bias=False)
        self.head.weight = self.words.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """[b, s] -> logits [b, s, V]."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.words(tokens) + self.positions(places)
        for block in self.blocks:
            x = block(x)
        return self.head(self.final_norm(x))

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of [b, s] tokens, nats."""
        return F.cross_entropy(self(tokens).flatten(0, 1), targets.flatten())
