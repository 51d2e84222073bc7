"""BERT with the heads of fine-tuning: of a whole text, of one text among several, of a span.

The pooler is split by columns and the head after it by rows, so that the two are a block of the
encoder's kind: tanh works on each rank's own features, and one g adds the logits up.  The head of a
span is two numbers a token and whole on every rank.

Shapes: b batch, s sequence, h hidden, n options, c classes, t group size.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.bert import BertTrunk, bert_trunk_parameters
from hydratron.models.shape import Shape
from hydratron.parallel.layers import ColumnParallelLinear, Device, RowParallelLinear
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.regions import ALONE, Region, TensorParallelRegion
from hydratron.parallel.sharding import ParamSpec, ParamTable

# The modules that only a fine-tuning has.
FINE_TUNED = ("classification_head", "multichoice_head", "span_head")


class PooledHead(nn.Module):
    """dropout(tanh(pooler(x))) W + b, [b, h] -> [b, c], equal on all ranks (facts, 4.3).

    The pooler belongs to the network, because pretraining and Hugging Face's models have it there.
    """

    def __init__(
        self, shape: Shape, region: Region, streams: RandomStreams, classes: int, device: Device
    ) -> None:
        super().__init__()
        self.dropout, self.streams = shape.dropout, streams
        self.dense = RowParallelLinear(shape.hidden_size, classes, region, device)

    def forward(self, pooled: Tensor) -> Tensor:
        """`pooled` [b, h / t]: this rank's features, before tanh."""
        pooled = torch.tanh(pooled)
        if self.training and self.dropout:
            with self.streams.tensor_parallel():  # other features, so other masks, on every rank
                pooled = F.dropout(pooled, self.dropout)
        logits: Tensor = self.dense(pooled)
        return logits


class ClassificationModel(BertTrunk):
    """The trunk and `classes` logits of its first token."""

    classes: ClassVar[int]
    head: ClassVar[str] = "classification_head"

    def add_head(self, device: Device) -> None:
        super().add_head(device)
        if self.last:
            h, region = self.shape.hidden_size, TensorParallelRegion(self.group)
            self.pooler = ColumnParallelLinear(h, h, region, device)
            made = PooledHead(self.shape, region, self.streams, self.classes, device)
            self.add_module(self.head, made)

    def logits(self, tokens: Tensor, tokentype_ids: Tensor, padding_mask: Tensor) -> Tensor:
        """[b, c], on every rank."""
        hidden = self(tokens, tokentype_ids, padding_mask)
        logits: Tensor = getattr(self, self.head)(self.pooler(hidden[:, 0]))
        return logits


class TwoClasses(ClassificationModel):
    classes = 2


class ThreeClasses(ClassificationModel):
    classes = 3


class ChoiceModel(ClassificationModel):
    """The trunk and one logit of each option, with one head for all of them (RACE)."""

    classes = 1
    head = "multichoice_head"

    def choose(self, tokens: Tensor, tokentype_ids: Tensor, padding_mask: Tensor) -> Tensor:
        """[b, n, s] each -> [b, n]."""
        b, n, s = tokens.shape
        flat = (x.reshape(b * n, s) for x in (tokens, tokentype_ids, padding_mask))
        return self.logits(*flat).view(b, n)


class SpanModel(BertTrunk):
    """The trunk and, of each token, a logit that the answer starts there and one that it ends."""

    def add_head(self, device: Device) -> None:
        super().add_head(device)
        if self.last:
            self.span_head = ColumnParallelLinear(self.shape.hidden_size, 2, ALONE, device)

    def logits(self, tokens: Tensor, tokentype_ids: Tensor, padding_mask: Tensor) -> Tensor:
        """[b, s, 2], on every rank."""
        logits: Tensor = self.span_head(self(tokens, tokentype_ids, padding_mask))
        return logits


def pooled_parameters(shape: Shape, init_std: float) -> ParamTable:
    """Those of a `ClassificationModel` or `ChoiceModel`."""
    head = r"(classification_head|multichoice_head)\.dense\."
    return ParamTable(
        *bert_trunk_parameters(shape, init_std),
        ParamSpec(r"pooler\.weight", shard_dim=0, std=init_std, decayed=True),
        ParamSpec(r"pooler\.bias", shard_dim=0),
        ParamSpec(head + "weight", shard_dim=1, std=init_std, decayed=True),
        ParamSpec(head + "bias"),
    )


def span_parameters(shape: Shape, init_std: float) -> ParamTable:
    """Those of a `SpanModel`."""
    return ParamTable(
        *bert_trunk_parameters(shape, init_std),
        ParamSpec(r"span_head\.weight", std=init_std, decayed=True),
        ParamSpec(r"span_head\.bias"),
    )
