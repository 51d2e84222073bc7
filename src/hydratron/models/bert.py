"""BERT as the paper trains it: whole words masked, and the order of two segments to tell.

Shapes: b batch, s sequence, h hidden, m masked positions of the batch, V padded vocabulary, t group
size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.gelu import GELU
from hydratron.models.language import LanguageModel, trunk_parameters
from hydratron.models.norms import NORMS
from hydratron.models.shape import Shape
from hydratron.parallel.layers import ColumnParallelLinear, Device
from hydratron.parallel.regions import ALONE
from hydratron.parallel.sharding import ParamSpec, ParamTable

TOKEN_TYPES = 2


class BertLoss(NamedTuple):
    """Sums over a batch, so that the caller divides by counts over all replicas and micro-batches.

    mlm, sop: cross-entropy in nats, fp32 scalars; sop_correct: sequences whose order was told
    right, an int64 scalar.
    """

    mlm: Tensor
    sop: Tensor
    sop_correct: Tensor


class MaskedLanguageHead(nn.Module):
    """LN(GeLU(dense(x))), [..., h] -> [..., h], and the bias of the tied logits (paper, 4.2).

    The dense layer and the LayerNorm are whole on every rank: the logits' f sums up their gradient.
    """

    def __init__(self, shape: Shape, vocabulary_rows: int, device: Device) -> None:
        super().__init__()
        h = shape.hidden_size
        self.approximate = GELU[shape.gelu]
        self.dense = ColumnParallelLinear(h, h, ALONE, device)
        self.norm = NORMS[shape.norm](h, shape.norm_eps, device)
        self.bias = nn.Parameter(torch.empty(vocabulary_rows, device=device))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(F.gelu(self.dense(x), approximate=self.approximate))
        return y


class BertTrunk(LanguageModel):
    """Tokens, their segments (0 or 1) and a padding mask -> hidden states.

    All inputs are int64 [b, s]; `padding_mask` is 1 for a token and 0 for padding.  The arguments
    are those of `LanguageModel`.
    """

    causal = False

    def add_head(self, device: Device) -> None:
        if self.first:
            h = self.shape.hidden_size
            self.tokentype_embeddings = nn.Parameter(torch.empty(TOKEN_TYPES, h, device=device))

    def forward(self, tokens: Tensor, tokentype_ids: Tensor, padding_mask: Tensor) -> Tensor:
        """Hidden states [b, s, h] after the last layer, equal on all ranks of the replica.

        No token sees padding; the hidden states at padding mean nothing.
        """
        if self.first:
            x = self.embed(tokens) + F.embedding(tokentype_ids, self.tokentype_embeddings)
        else:
            x = self.received
        return self.encode(x, padding_mask.bool()[:, None, None, :])


class BertModel(BertTrunk):
    """The trunk with the heads of pretraining: hidden states, logits or summed losses."""

    def add_head(self, device: Device) -> None:
        super().add_head(device)
        h = self.shape.hidden_size
        if self.last:
            self.lm_head = MaskedLanguageHead(self.shape, self.word_embeddings.rows, device)
            # Whole on every rank.
            self.pooler = ColumnParallelLinear(h, h, ALONE, device)
            self.binary_head = ColumnParallelLinear(h, 2, ALONE, device)

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
        predicted = self.lm_head(hidden.flatten(0, 1).index_select(0, masked))
        mlm = self.word_loss(predicted, labels[masked], self.lm_head.bias)
        order = self._order(hidden)
        return BertLoss(
            mlm=mlm,
            sop=F.cross_entropy(order.float(), sop, reduction="sum"),
            sop_correct=(order.argmax(dim=-1) == sop).sum(),
        )

    def _order(self, hidden: Tensor) -> Tensor:
        """Logits [b, 2] of (in order, swapped), from the first token."""
        order: Tensor = self.binary_head(torch.tanh(self.pooler(hidden[:, 0])))
        return order


def bert_trunk_parameters(shape: Shape, init_std: float) -> tuple[ParamSpec, ...]:
    """How the parameters of `BertTrunk` are split, drawn and decayed."""
    types = ParamSpec(r"tokentype_embeddings", std=init_std, decayed=True)
    return (*trunk_parameters(shape, init_std), types)


def bert_parameters(shape: Shape, init_std: float) -> ParamTable:
    """How BERT's parameters are split, drawn and decayed: the trunk's, and those of the heads."""
    replicated = r"(lm_head\.dense|pooler|binary_head)\."
    return ParamTable(
        *bert_trunk_parameters(shape, init_std),
        ParamSpec(replicated + "weight", std=init_std, decayed=True),
        ParamSpec(replicated + "bias"),
        ParamSpec(r"lm_head\.norm\.weight", mean=1.0),
        ParamSpec(r"lm_head\.norm\.bias"),
        ParamSpec(r"lm_head\.bias", shard_dim=0, vocab=True),
    )
