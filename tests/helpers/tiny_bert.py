"""A small BERT for tests, with no parameter at a special value, and a batch with padding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hydratron.models.bert import BertModel, bert_parameters
from hydratron.models.init import initialize
from hydratron.parallel.mesh import SINGLE, ParallelGroup
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.regions import Region, TensorParallelRegion
from hydratron.parallel.sharding import ParamTable
from tests.helpers.tiny import SEQ, TINY, VOCAB

BERT_TABLE = bert_parameters(TINY, init_std=0.2)
# Biases other than 0 and LayerNorms other than 1, so that an exchange of two of them shows.
SHAKEN = ParamTable(*(replace(spec, std=spec.std or 0.1) for spec in BERT_TABLE.specs))


def tiny_bert(
    group: ParallelGroup = SINGLE, seed: int = 1, region: Region | None = None, **changes: Any
) -> BertModel:
    """A model of two layers."""
    shape = replace(TINY, **{"gelu": "erf", **changes})
    streams = RandomStreams(seed, tensor=group)
    model = BertModel(shape, streams, region or TensorParallelRegion(group))
    initialize(model, SHAKEN, seed, group, VOCAB)
    return model


def tiny_inputs() -> dict[str, Tensor]:
    """Tokens, segments and padding of three samples, [3, SEQ]; the last two end in padding."""
    generator = torch.Generator().manual_seed(5)
    lengths = torch.tensor([SEQ, SEQ - 2, SEQ - 5])
    positions = torch.arange(SEQ).expand(3, SEQ)
    return {
        "tokens": torch.randint(0, VOCAB, (3, SEQ), generator=generator),
        "tokentype_ids": (positions >= torch.tensor([[3], [4], [1]])).long(),
        "padding_mask": (positions < lengths[:, None]).long(),
    }


def tiny_answers() -> dict[str, Tensor]:
    """Five labels, one of them twice and none on padding, and the order of the segments."""
    labels = torch.full((3, SEQ), -1)
    for row, column, token in ((0, 1, 7), (0, 6, 49), (1, 2, 7), (1, 5, 20), (2, 0, 33)):
        labels[row, column] = token
    return {"labels": labels, "sop": torch.tensor([0, 1, 1])}
