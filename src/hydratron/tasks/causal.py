"""Next-token prediction: how GPT-2 is pretrained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hydratron.models.gpt import GPTModel, gpt_parameters
from hydratron.models.language import LanguageModel
from hydratron.models.shape import Shape
from hydratron.parallel.sharding import ParamTable
from hydratron.tasks.contract import Arrays, Batch, Scores, perplexity, stacked


class Causal:
    """Cross-entropy of the next token; a batch is `tokens` [b, s + 1]."""

    network: type[LanguageModel] = GPTModel
    parts: tuple[str, ...] = ("lm",)
    scored = 2

    def parameters(self, shape: Shape, init_std: float) -> ParamTable:
        return gpt_parameters(shape, init_std)

    def predicted(self, sample: Any) -> npt.NDArray[np.int64]:
        return np.asarray(sample[1:], dtype=np.int64)

    def collate(self, samples: Sequence[Any]) -> Arrays:
        return stacked([{"tokens": sample} for sample in samples])

    def zeros(self, samples: int, seq_length: int) -> Batch:
        return {"tokens": torch.zeros(samples, seq_length + 1, dtype=torch.int64)}

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        return (batch["tokens"][:, :-1],)

    def counts(self, batch: Batch) -> Tensor:
        return torch.tensor([batch["tokens"][:, 1:].numel()], dtype=torch.float64)

    def sums(self, network: Any, batch: Batch) -> Tensor:
        tokens = batch["tokens"]
        loss: Tensor = network.loss(tokens[:, :-1], tokens[:, 1:])
        return loss.unsqueeze(0)

    def scores(self, network: Any, batch: Batch) -> Tensor:
        sums = self.sums(network, batch).double()
        return torch.cat([sums, self.counts(batch).to(sums.device)])

    def metrics(self, scores: Sequence[float]) -> Scores:
        total, count = scores
        loss = total / count
        return {"val/loss": loss, "val/perplexity": perplexity(loss)}
