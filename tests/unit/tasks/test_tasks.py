from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from hydratron.training.objective import OBJECTIVES


class Losses(NamedTuple):
    mlm: Tensor
    sop: Tensor
    sop_correct: Tensor


class FixedBert:
    """Stands for a network: 2 nats for each label, 0.5 for each order, the first one right."""

    def loss(self, *inputs: Tensor) -> Losses:
        tokens, types, padding, labels, sop = inputs
        assert (int(tokens[0, 0]), int(types[0, 0]), int(padding[0, 0])) == (7, 0, 1)
        return Losses(2.0 * (labels >= 0).sum(), torch.tensor(0.5 * len(sop)), torch.tensor(1))


def bert_batch() -> dict[str, Tensor]:
    labels = torch.tensor([[-1, 4, 0], [-1, -1, 2]])
    tokens, ones = torch.full((2, 3), 7), torch.ones(2, 3, dtype=torch.int64)
    return {
        "labels": labels,
        "sop": torch.tensor([0, 1]),
        "padding_mask": ones,
        "types": 0 * ones,
        "tokens": tokens,
    }


def test_bert_counts_masked_tokens_and_sequences() -> None:
    objective = OBJECTIVES["bert"]
    assert objective.counts(bert_batch()).tolist() == [3, 2]
    assert objective.sums(FixedBert(), bert_batch()).tolist() == [6, 1]


def test_berts_validation_row() -> None:
    objective = OBJECTIVES["bert"]
    scores = objective.scores(FixedBert(), bert_batch())
    assert scores.tolist() == [6, 1, 1, 3, 2]
    assert len(scores) == objective.scored
    assert objective.row(scores.tolist()) == {
        "val/loss": 2.5,
        "val/mlm_loss": 2.0,
        "val/perplexity": pytest.approx(math.exp(2)),
        "val/sop_loss": 0.5,
        "val/sop_accuracy": 0.5,
    }
    assert objective.row([0, 1, 1, 0, 2])["val/mlm_loss"] == 0


class FixedGPT:
    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        assert tokens.tolist() == [[1, 2]]
        assert targets.tolist() == [[2, 3]]
        return torch.tensor(6.0)


def test_gpts_row_is_the_mean_per_token() -> None:
    objective = OBJECTIVES["gpt"]
    batch = torch.tensor([[1, 2, 3]])
    assert objective.counts(batch).tolist() == [2]
    assert objective.sums(FixedGPT(), batch).tolist() == [6]
    scores = objective.scores(FixedGPT(), batch)
    assert len(scores) == objective.scored
    assert objective.row(scores.tolist()) == {
        "val/loss": 3.0,
        "val/perplexity": pytest.approx(math.exp(3)),
    }
    assert objective.row([1e6, 1.0])["val/perplexity"] == pytest.approx(math.exp(700))
