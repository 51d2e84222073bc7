"""One class of a text or one option among several: what GLUE's tasks and RACE share.

Shapes: b batch, s sequence, n options, c classes or options.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from hydratron.data.samples.labelled import INPUTS, LabelledSamples, groups_of
from hydratron.models.heads import (
    ChoiceModel,
    ThreeClasses,
    TwoClasses,
    pooled_parameters,
)
from hydratron.models.language import LanguageModel
from hydratron.models.shape import Shape
from hydratron.parallel.sharding import ParamTable
from hydratron.tasks.contract import Arrays, Batch, Verdict, stacked
from hydratron.tasks.table import MULTIPLE

SHOWN = 6  # digits of a probability


class Classification:
    """Cross-entropy of the right class; a batch has `INPUTS` [b, s], `label` and `index` [b].

    `names` are those of the classes, `groups` those that are scored apart as well.
    """

    network: type[LanguageModel] = TwoClasses
    parts: tuple[str, ...] = ("label",)
    names: Sequence[str] = ("0", "1")
    groups: Sequence[str] = ()
    shape: tuple[int, ...] = ()
    """Of one sample's inputs, before the sequence."""

    def parameters(self, shape: Shape, init_std: float) -> ParamTable:
        return pooled_parameters(shape, init_std)

    def predicted(self, sample: Any) -> npt.NDArray[np.int64]:
        return np.asarray([sample["label"]], dtype=np.int64)

    def length(self, sample: Any) -> int:
        return int(sample["padding_mask"].sum(axis=-1).max())

    def collate(self, samples: Sequence[Any]) -> Arrays:
        """Cut to the longest of the samples, which changes nothing: nobody sees padding."""
        found = stacked(samples)
        longest = int(found["padding_mask"].sum(axis=-1).max())
        kept = -(-longest // MULTIPLE) * MULTIPLE
        return {n: a[..., :kept] if n in INPUTS else a for n, a in found.items()}

    def zeros(self, samples: int, seq_length: int) -> Batch:
        whole = samples, *self.shape, seq_length
        inputs = {name: torch.zeros(whole, dtype=torch.int64) for name in INPUTS}
        return inputs | {n: torch.zeros(samples, dtype=torch.int64) for n in ("label", "index")}

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        # The options of a sample are read as so many texts.
        return tuple(batch[name].flatten(0, -2) for name in INPUTS)

    def counts(self, batch: Batch) -> Tensor:
        return torch.tensor([len(batch["label"])], dtype=torch.float64)

    def sums(self, network: Any, batch: Batch) -> Tensor:
        logits = self.logits(network, batch)
        return F.cross_entropy(logits.float(), batch["label"], reduction="sum").unsqueeze(0)

    def logits(self, network: Any, batch: Batch) -> Tensor:
        """[b, c]."""
        logits: Tensor = network.logits(*(batch[name] for name in INPUTS))
        return logits

    def width(self, seq_length: int) -> int:
        return len(self.names)

    def outputs(self, network: Any, batch: Batch) -> Tensor:
        return self.logits(network, batch).float()

    def judge(self, samples: LabelledSamples, outputs: npt.NDArray[np.float32]) -> Verdict:
        labels = samples.examples.labels[: len(outputs), 0]
        logs = log_softmax(outputs.astype(np.float64))
        told = logs.argmax(axis=-1)
        right = told == labels
        metrics = {
            "val/loss": float(-logs[np.arange(len(labels)), labels].mean()),
            "val/accuracy": float(right.mean()),
            "val/majority_accuracy": float(np.bincount(labels).max() / len(labels)),
        }
        belongs = groups_of(samples)[: len(outputs)]
        for number, group in enumerate(self.groups):
            if (inside := belongs == number).any():
                metrics[f"val/accuracy_{group}"] = float(right[inside].mean())
        predictions = [
            {
                "id": described["id"],
                "label": self.names[label],
                "prediction": self.names[guess],
                "probabilities": {
                    name: round(float(p), SHOWN)
                    for name, p in zip(self.names, np.exp(row), strict=True)
                },
            }
            for described, label, guess, row in zip(
                samples.examples.described, labels, told, logs, strict=False
            )
        ]
        return Verdict(metrics, predictions, {})


class Sentiment(Classification):
    """SST-2: a sentence of a film review."""

    names = ("negative", "positive")


class Entailment(Classification):
    """MNLI: whether the first sentence implies the second."""

    network = ThreeClasses
    names = ("contradiction", "entailment", "neutral")
    groups = ("matched", "mismatched")


class Paraphrase(Classification):
    """QQP: whether two questions ask the same."""

    names = ("different", "duplicate")


class Choice(Classification):
    """RACE: the right one of four options; a batch has `INPUTS` [b, n, s]."""

    network = ChoiceModel
    names = ("A", "B", "C", "D")
    groups = ("middle", "high")
    shape = (4,)

    def logits(self, network: Any, batch: Batch) -> Tensor:
        logits: Tensor = network.choose(*(batch[name] for name in INPUTS))
        return logits


def log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Over the last dimension."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    found: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found
