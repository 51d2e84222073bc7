"""GPT-2 as the paper trains it: learned positions, tied head, residual-scaled initial weights.

Shapes: b batch, s sequence, h hidden, V padded vocabulary, t group size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.transformer import TransformerLayer
from hydratron.parallel.cross_entropy import vocab_parallel_linear_loss
from hydratron.parallel.layers import VocabParallelEmbedding, to_compute_type
from hydratron.parallel.mappings import (
    copy_to_tensor_model_parallel_region,
    gather_from_tensor_model_parallel_region,
)
from hydratron.parallel.mesh import SINGLE, ParallelGroup
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamSpec, ParamTable


class GPTModel(nn.Module):
    """tokens [b, s] -> hidden states [b, s, h], logits [b, s, V] or the summed loss.

    With placement `post` the one LayerNorm outside the layers follows the embedding instead of the
    last layer, so that both placements have the same number of parameters.
    """

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
        residual_scale: float = 1.0,
        norm_eps: float = 1e-5,
        recompute: bool = False,
        loss_chunk_tokens: int = 8192,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.group, self.streams = group, streams
        self.dropout, self.recompute = dropout, recompute
        self.loss_chunk_tokens = loss_chunk_tokens
        self.word_embeddings = VocabParallelEmbedding(
            padded_vocab_size, hidden_size, group, device=device
        )
        self.position_embeddings = nn.Parameter(torch.empty(seq_length, hidden_size, device=device))
        self.layers = nn.ModuleList(
            TransformerLayer(
                hidden_size, num_attention_heads, ffn_hidden_size or 4 * hidden_size, group,
                streams, dropout=dropout, gelu=gelu, fused_attention=fused_attention,
                placement=placement, residual_scale=residual_scale, norm_eps=norm_eps,
                device=device,
            )
            for _ in range(num_layers)
        )  # fmt: skip
        norm = nn.LayerNorm(hidden_size, eps=norm_eps, device=device)
        self.embedding_norm = norm if placement == "post" else nn.Identity()
        self.final_norm = norm if placement == "pre" else nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        """Hidden states [b, s, h] after the last layer, equal on all ranks of the replica."""
        x = self.word_embeddings(tokens) + self.position_embeddings[: tokens.shape[1]]
        x = self.embedding_norm(F.dropout(x, self.dropout, self.training))
        for layer in self.layers:
            recompute = self.recompute and torch.is_grad_enabled()
            x = self.streams.recompute(layer, x) if recompute else layer(x)
        return self.final_norm(x)

    def logits(self, tokens: Tensor) -> Tensor:
        """Whole logits [b, s, V], gathered on every rank: for evaluation, not for training."""
        x = copy_to_tensor_model_parallel_region(to_compute_type(self(tokens)), self.group)
        logits = F.linear(x, self.word_embeddings.weight)
        return gather_from_tensor_model_parallel_region(logits, self.group)

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy in nats over all targets [b, s] that are >= 0, fp32."""
        hidden = self(tokens)
        return vocab_parallel_linear_loss(
            hidden.flatten(0, 1), self.word_embeddings.weight, targets.flatten(), self.group,
            self.loss_chunk_tokens,
        )  # fmt: skip


def gpt_parameters(num_layers: int, init_std: float) -> ParamTable:
    """How GPT's parameters are split, drawn and decayed (facts: paper, section 4.2).

    The two matrices that write into the residual stream start smaller by sqrt(2 L).
    """
    layer = r"layers\.\d+\."
    column = layer + r"(attention\.sublayer\.query_key_value|mlp\.sublayer\.dense_h_to_4h)\."
    row = layer + r"(attention\.sublayer\.dense|mlp\.sublayer\.dense_4h_to_h)\."
    norm = rf"({layer}(attention|mlp)\.norm|embedding_norm|final_norm)\."
    scaled = init_std / math.sqrt(2 * num_layers)
    return ParamTable(
        ParamSpec(r"word_embeddings\.weight", shard_dim=0, std=init_std, decayed=True, vocab=True),
        ParamSpec(r"position_embeddings", std=init_std, decayed=True),
        ParamSpec(column + "weight", shard_dim=0, std=init_std, decayed=True),
        ParamSpec(column + "bias", shard_dim=0),
        ParamSpec(row + "weight", shard_dim=1, std=scaled, decayed=True),
        ParamSpec(row + "bias"),
        ParamSpec(norm + "weight", mean=1.0),
        ParamSpec(norm + "bias"),
    )
