"""Masked words and the order of two segments: how BERT is pretrained (paper, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hydratron.models.bert import BertLoss, BertModel, bert_parameters
from hydratron.models.language import LanguageModel
from hydratron.models.shape import Shape
from hydratron.parallel.sharding import ParamTable
from hydratron.tasks.contract import Arrays, Batch, Scores, perplexity, stacked

INPUTS = ("tokens", "types", "padding_mask", "labels")


class Masked:
    """Cross-entropy of masked words and of the order; a batch has `INPUTS` [b, s] and `sop` [b]."""

    network: type[LanguageModel] = BertModel
    parts: tuple[str, ...] = ("mlm", "sop")
    scored = 5

    def parameters(self, shape: Shape, init_std: float) -> ParamTable:
        return bert_parameters(shape, init_std)

    def predicted(self, sample: Any) -> npt.NDArray[np.int64]:
        labels: npt.NDArray[np.int64] = sample["labels"]
        return labels[labels >= 0]

    def collate(self, samples: Sequence[Any]) -> Arrays:
        return stacked(samples)

    def zeros(self, samples: int, seq_length: int) -> Batch:
        whole = {name: torch.zeros(samples, seq_length, dtype=torch.int64) for name in INPUTS}
        return whole | {"sop": torch.zeros(samples, dtype=torch.int64)}

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        return batch["tokens"], batch["types"], batch["padding_mask"]

    def counts(self, batch: Batch) -> Tensor:
        labels = batch["labels"]
        return torch.tensor([int((labels >= 0).sum()), len(labels)], dtype=torch.float64)

    def sums(self, network: Any, batch: Batch) -> Tensor:
        loss = self._loss(network, batch)
        return torch.stack([loss.mlm, loss.sop])

    def scores(self, network: Any, batch: Batch) -> Tensor:
        loss = self._loss(network, batch)
        sums = torch.stack([loss.mlm, loss.sop, loss.sop_correct]).double()
        return torch.cat([sums, self.counts(batch).to(sums.device)])

    def metrics(self, scores: Sequence[float]) -> Scores:
        mlm_sum, sop_sum, correct, masked, samples = scores
        # Of a handful of short samples none may have a masked token.
        mlm, sop = mlm_sum / max(masked, 1.0), sop_sum / samples
        return {
            "val/loss": mlm + sop,
            "val/mlm_loss": mlm,
            "val/perplexity": perplexity(mlm),
            "val/sop_loss": sop,
            "val/sop_accuracy": correct / samples,
        }

    def _loss(self, network: Any, batch: Batch) -> BertLoss:
        loss: BertLoss = network.loss(*(batch[name] for name in (*INPUTS, "sop")))
        return loss
