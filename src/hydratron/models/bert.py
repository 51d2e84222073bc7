"""BERT as the paper trains it: whole words masked, and the order of two segments to tell.

Shapes: b batch, s sequence, h hidden, m masked positions of the batch, V padded vocabulary, t group
size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.language import LanguageModel, trunk_parameters
from hydratron.models.transformer import GELU
from hydratron.parallel.cross_entropy import vocab_parallel_linear_loss
from hydratron.parallel.layers import ColumnParallelLinear
from hydratron.parallel.mesh import SINGLE
from hydratron.parallel.sharding import ParamSpec, ParamTable

TOKEN_TYPES = 2


class BertLoss(NamedTuple):
    """Sums over a batch, so that the caller divides by counts over all replicas and micro-batches.

    mlm, sop: cross-entropy in nats, fp32 scalars; masked: predicted tokens; sop_correct: sequences
    whose order was told right; int64 scalars.
    """

    mlm: Tensor
    masked: Tensor
    sop: Tensor
    sop_correct: Tensor


class MaskedLanguageHead(nn.Module):
    """LN(GeLU(dense(x))), [..., h] -> [..., h], and the bias of the tied logits (paper, 4.2).

    The dense layer and the LayerNorm are whole on every rank: the logits' f sums up their gradient.
    """

    def __init__(
        self,
        hidden_size: int,
        vocabulary_rows: int,
        gelu: str,
        norm_eps: float,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.approximate = GELU[gelu]
        self.dense = ColumnParallelLinear(hidden_size, hidden_size, SINGLE, device=device)
        self.norm = nn.LayerNorm(hidden_size, eps=norm_eps, device=device)
        self.bias = nn.Parameter(torch.empty(vocabulary_rows, device=device))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(F.gelu(self.dense(x), approximate=self.approximate))
        return y


class BertModel(LanguageModel):
    """Tokens, their segments (0 or 1) and a padding mask -> hidden states, logits or summed losses.

    All inputs are int64 [b, s]; `padding_mask` is 1 for a token and 0 for padding.  The options are
    those of `LanguageModel`.
    """

    causal = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        rows, hidden_size = self.word_embeddings.weight.shape
        device = self.position_embeddings.device
        self.tokentype_embeddings = nn.Parameter(
            torch.empty(TOKEN_TYPES, hidden_size, device=device)
        )
        self.lm_head = MaskedLanguageHead(hidden_size, rows, self.gelu, self.norm_eps, device)
        # A group of one: whole on every rank.
        self.pooler = ColumnParallelLinear(hidden_size, hidden_size, SINGLE, device=device)
        self.binary_head = ColumnParallelLinear(hidden_size, 2, SINGLE, device=device)

    def forward(self, tokens: Tensor, tokentype_ids: Tensor, padding_mask: Tensor) -> Tensor:
        """Hidden states [b, s, h] after the last layer, equal on all ranks of the replica.

        No token sees padding; the hidden states at padding mean nothing.
        """
        x = self.embed(tokens) + F.embedding(tokentype_ids, self.tokentype_embeddings)
        return self.encode(x, padding_mask.bool()[:, None, None, :])

    def logits(
        self, tokens: Tensor, tokentype_ids: Tensor, padding_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits of all tokens [b, s, V] and of the order [b, 2], on every rank: for evaluation."""
        hidden = self(tokens, tokentype_ids, padding_mask)
        words = self.tied_logits(self.lm_head(hidden), self.lm_head.bias)
        return words, self._order(hidden)

    def loss(
        self,
        tokens: Tensor,
        tokentype_ids: Tensor,
        padding_mask: Tensor,
        labels: Tensor,
        sop: Tensor,
    ) -> BertLoss:
        """Both losses, summed: over `labels` [b, s] that are >= 0, and over `sop` [b] (1: swapped).

        The head computes masked positions only; without any, `mlm` is 0 and its gradients too.
        """
        hidden = self(tokens, tokentype_ids, padding_mask)
        labels = labels.flatten()
        masked = (labels >= 0).nonzero().squeeze(-1)  # [m]
        mlm = vocab_parallel_linear_loss(
            self.lm_head(hidden.flatten(0, 1).index_select(0, masked)),
            self.word_embeddings.weight, labels[masked], self.group, self.loss_chunk_tokens,
            self.lm_head.bias,
        )  # fmt: skip
        order = self._order(hidden)
        return BertLoss(
            mlm=mlm,
            masked=torch.tensor(len(masked), device=labels.device),
            sop=F.cross_entropy(order.float(), sop, reduction="sum"),
            sop_correct=(order.argmax(dim=-1) == sop).sum(),
        )

    def _order(self, hidden: Tensor) -> Tensor:
        """Logits [b, 2] of (in order, swapped), from the first token."""
        order: Tensor = self.binary_head(torch.tanh(self.pooler(hidden[:, 0])))
        return order


def bert_parameters(
    num_layers: int, init_std: float, placement: str = "pre", head_dim: int | None = None
) -> ParamTable:
    """How BERT's parameters are split, drawn and decayed: the trunk's, and those of the heads."""
    replicated = r"(lm_head\.dense|pooler|binary_head)\."
    return ParamTable(
        *trunk_parameters(num_layers, init_std, placement, head_dim),
        ParamSpec(r"tokentype_embeddings", std=init_std, decayed=True),
        ParamSpec(replicated + "weight", std=init_std, decayed=True),
        ParamSpec(replicated + "bias"),
        ParamSpec(r"lm_head\.norm\.weight", mean=1.0),
        ParamSpec(r"lm_head\.norm\.bias"),
        ParamSpec(r"lm_head\.bias", shard_dim=0, vocab=True),
    )
