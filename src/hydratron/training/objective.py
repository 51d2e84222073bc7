"""What a network is trained on: sums of losses, and the counts over a whole step that divide them.

Every part of a loss is divided by its count over the global batch, so that neither the number of
replicas nor the size of a micro-batch changes the gradient.  (Megatron-LM divides BERT's masked
loss by the count of each rank and averages the ranks.)
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

Row = dict[str, float]


class Objective(Protocol):
    """Losses are in nats; every tensor of sums and counts is float64 unless it is trained on."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The losses whose sum is minimised; metrics name each where there are several."""

    @property
    def scored(self) -> int:
        """How many numbers `scores` gives."""

    def counts(self, batch: Any) -> Tensor:
        """[parts]: over how many predictions the losses of this micro-batch are summed."""

    def sums(self, network: Any, batch: Any) -> Tensor:
        """[parts]: the summed losses of this micro-batch, fp32, with a gradient."""

    def scores(self, network: Any, batch: Any) -> Tensor:
        """[scored]: what is added up over the validation samples."""

    def row(self, scores: list[float]) -> Row:
        """The metrics `val/...` of all validation samples together."""


class CausalObjective:
    """Next-token cross-entropy; a batch is [b, s + 1] tokens."""

    parts, scored = ("lm",), 2

    def counts(self, batch: Any) -> Tensor:
        return torch.tensor([batch[:, 1:].numel()], dtype=torch.float64)

    def sums(self, network: Any, batch: Any) -> Tensor:
        loss: Tensor = network.loss(batch[:, :-1], batch[:, 1:])
        return loss.unsqueeze(0)

    def scores(self, network: Any, batch: Any) -> Tensor:
        return torch.cat([self.sums(network, batch).double(), self.counts(batch).to(batch.device)])

    def row(self, scores: list[float]) -> Row:
        total, count = scores
        loss = total / count
        return {"val/loss": loss, "val/perplexity": perplexity(loss)}


class BertObjective:
    """Masked words and the order of two sentences (facts: paper, section 4.2).

    A batch has `tokens types labels padding_mask` [b, s] and `sop` [b].
    """

    parts, scored = ("mlm", "sop"), 5

    def counts(self, batch: Any) -> Tensor:
        labels = batch["labels"]
        return torch.tensor([int((labels >= 0).sum()), len(labels)], dtype=torch.float64)

    def sums(self, network: Any, batch: Any) -> Tensor:
        loss = self._loss(network, batch)
        return torch.stack([loss.mlm, loss.sop])

    def scores(self, network: Any, batch: Any) -> Tensor:
        loss = self._loss(network, batch)
        sums = torch.stack([loss.mlm, loss.sop, loss.sop_correct]).double()
        return torch.cat([sums, self.counts(batch).to(sums.device)])

    def row(self, scores: list[float]) -> Row:
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

    def _loss(self, network: Any, batch: dict[str, Tensor]) -> Any:
        names = ("tokens", "types", "padding_mask", "labels", "sop")
        return network.loss(*(batch[name] for name in names))


OBJECTIVES: dict[str, Objective] = {"gpt": CausalObjective(), "bert": BertObjective()}


def perplexity(loss: float) -> float:
    """exp(loss), as far as a float goes."""
    return math.exp(min(loss, 700.0))
