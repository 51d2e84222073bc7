"""What a task counts, sums up and says of its validation samples."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from hydratron.tasks.causal import Causal
from hydratron.tasks.masked import Masked
from hydratron.tasks.table import TASKS, row_of


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
    task = Masked()
    assert task.counts(bert_batch()).tolist() == [3, 2]
    assert task.sums(FixedBert(), bert_batch()).tolist() == [6, 1]


def test_berts_validation_row() -> None:
    task = Masked()
    scores = task.scores(FixedBert(), bert_batch())
    assert scores.tolist() == [6, 1, 1, 3, 2]
    assert len(scores) == task.scored
    assert task.metrics(scores.tolist()) == {
        "val/loss": 2.5,
        "val/mlm_loss": 2.0,
        "val/perplexity": pytest.approx(math.exp(2)),
        "val/sop_loss": 0.5,
        "val/sop_accuracy": 0.5,
    }
    assert task.metrics([0, 1, 1, 0, 2])["val/mlm_loss"] == 0


class FixedGPT:
    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        assert tokens.tolist() == [[1, 2]]
        assert targets.tolist() == [[2, 3]]
        return torch.tensor(6.0)


def test_gpts_row_is_the_mean_per_token() -> None:
    task = Causal()
    batch = {"tokens": torch.tensor([[1, 2, 3]])}
    assert task.counts(batch).tolist() == [2]
    assert task.sums(FixedGPT(), batch).tolist() == [6]
    scores = task.scores(FixedGPT(), batch)
    assert len(scores) == task.scored
    assert task.metrics(scores.tolist()) == {
        "val/loss": 3.0,
        "val/perplexity": pytest.approx(math.exp(3)),
    }
    assert task.metrics([1e6, 1.0])["val/perplexity"] == pytest.approx(math.exp(700))


@pytest.mark.parametrize("name", TASKS)
def test_a_batch_without_data_is_one_of_the_task(name: str) -> None:
    row = TASKS[name]
    task = row.task()
    batch = task.zeros(samples=3, seq_length=8)
    assert {len(values) for values in batch.values()} == {3}
    assert {values.dtype for values in batch.values()} == {torch.int64}
    assert task.counts(batch).shape == (len(task.parts),)
    assert callable(row.samples)


def test_pretraining_is_the_task_of_the_architecture() -> None:
    assert row_of("pretrain", "gpt") is row_of("causal", "gpt") is TASKS["causal"]
    assert row_of("pretrain", "bert") is TASKS["masked"]


def test_what_a_sample_has_to_tell() -> None:
    assert Causal().predicted(np.array([3, 1, 2])).tolist() == [1, 2]
    assert Masked().predicted({"labels": np.array([-1, 0, 4])}).tolist() == [0, 4]
