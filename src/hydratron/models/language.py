"""What GPT and BERT share: word and position embeddings, the layers, the LayerNorm outside them.

Shapes: b batch, s sequence, h hidden, V padded vocabulary, t group size.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.placements import PLACEMENTS
from hydratron.models.transformer import TransformerLayer
from hydratron.parallel.layers import VocabParallelEmbedding, to_compute_type
from hydratron.parallel.mappings import (
    copy_to_tensor_model_parallel_region,
    gather_from_tensor_model_parallel_region,
)
from hydratron.parallel.mesh import SINGLE, ParallelGroup
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamSpec


class LanguageModel(nn.Module):
    """The trunk of a network, with the tied word embeddings that its head uses.

    `placement` names a row of `PLACEMENTS`, which says where the one LayerNorm outside the layers
    stands: `pre` and `post` have the same number of parameters.  `residual_scale` None is the
    placement's own, a function of the depth.
    """

    causal: ClassVar[bool]

    def __init__(
        self,
        *,
        num_layers: int,
        hidden_size: int,
        num_attention_heads: int,
        padded_vocab_size: int,
        seq_length: int,
        streams: RandomStreams,
        group: ParallelGroup = SINGLE,
        ffn_hidden_size: int | None = None,
        dropout: float = 0.0,
        gelu: str = "tanh",
        fused_attention: bool = True,
        placement: str = "pre",
        residual_scale: float | None = None,
        norm_eps: float = 1e-5,
        recompute: bool = False,
        loss_chunk_tokens: int = 8192,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.group, self.streams = group, streams
        self.dropout, self.recompute = dropout, recompute
        self.gelu, self.norm_eps = gelu, norm_eps
        self.loss_chunk_tokens = loss_chunk_tokens
        self.word_embeddings = VocabParallelEmbedding(
            padded_vocab_size, hidden_size, group, device=device
        )
        self.position_embeddings = nn.Parameter(torch.empty(seq_length, hidden_size, device=device))
        placed = PLACEMENTS[placement]
        scale = placed.residual_scale(num_layers) if residual_scale is None else residual_scale
        self.layers = nn.ModuleList(
            TransformerLayer(
                hidden_size, num_attention_heads, ffn_hidden_size or 4 * hidden_size, group,
                streams, causal=self.causal, placement=placed, residual_scale=scale,
                dropout=dropout, gelu=gelu, fused_attention=fused_attention, norm_eps=norm_eps,
                device=device,
            )
            for _ in range(num_layers)
        )  # fmt: skip
        norm = nn.LayerNorm(hidden_size, eps=norm_eps, device=device)
        self.embedding_norm = norm if placed.outer_norm == "embedding" else nn.Identity()
        self.final_norm = norm if placed.outer_norm == "end" else nn.Identity()

    def embed(self, tokens: Tensor) -> Tensor:
        """Words and positions, [b, s] -> [b, s, h]."""
        words: Tensor = self.word_embeddings(tokens)
        return words + self.position_embeddings[: tokens.shape[1]]

    def encode(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Hidden states after the last layer, [b, s, h] -> [b, s, h], equal on all ranks.

        Dropout comes before an embedding LayerNorm, as in Megatron-LM, not after it, as in
        Google's BERT.
        """
        x = self.embedding_norm(F.dropout(x, self.dropout, self.training))
        recompute = self.recompute and torch.is_grad_enabled()
        for layer in self.layers:
            masked = partial(layer, mask=mask)
            x = self.streams.recompute(masked, x) if recompute else masked(x)
        hidden: Tensor = self.final_norm(x)
        return hidden

    def tied_logits(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x E^T + bias, [b, s, h] -> [b, s, V], gathered on every rank; `bias` [V / t]."""
        x = copy_to_tensor_model_parallel_region(to_compute_type(x), self.group)
        logits = F.linear(x, self.word_embeddings.weight, bias)
        return gather_from_tensor_model_parallel_region(logits, self.group)


def trunk_parameters(
    num_layers: int, init_std: float, placement: str, head_dim: int | None
) -> tuple[ParamSpec, ...]:
    """How the parameters of `LanguageModel` are split, drawn and decayed (paper, section 4.2).

    `head_dim` is needed where the placement draws the values' rows of `query_key_value` otherwise.
    """
    stds = PLACEMENTS[placement].initial_stds(num_layers, init_std)
    row_scales: tuple[float, ...] = ()
    if stds.value != init_std:
        if head_dim is None:
            raise ValueError(
                f"placement {placement} draws the rows of the values with their own standard "
                "deviation: head_dim is needed to find them"
            )
        row_scales = (1.0,) * (2 * head_dim) + (stds.value / init_std,) * head_dim
    layer = r"layers\.\d+\."
    qkv = layer + r"attention\.sublayer\.query_key_value\."
    inner = layer + r"mlp\.sublayer\.dense_h_to_4h\."
    row = layer + r"(attention\.sublayer\.dense|mlp\.sublayer\.dense_4h_to_h)\."
    norm = rf"({layer}(attention|mlp)\.norm\d*|embedding_norm|final_norm)\."
    return (
        ParamSpec(r"word_embeddings\.weight", shard_dim=0, std=init_std, decayed=True, vocab=True),
        ParamSpec(r"position_embeddings", std=init_std, decayed=True),
        ParamSpec(qkv + "weight", shard_dim=0, std=init_std, decayed=True, row_scales=row_scales),
        ParamSpec(qkv + "bias", shard_dim=0),
        ParamSpec(inner + "weight", shard_dim=0, std=stds.inner, decayed=True),
        ParamSpec(inner + "bias", shard_dim=0),
        ParamSpec(row + "weight", shard_dim=1, std=stds.output, decayed=True),
        ParamSpec(row + "bias"),
        ParamSpec(norm + "weight", mean=1.0),
        ParamSpec(norm + "bias"),
    )
