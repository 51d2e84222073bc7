"""The span of a passage that answers a question: SQuAD 1.1 and 2.0, as in BERT's own code.

Shapes: b batch, s sequence.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from hydratron.data.samples.labelled import INPUTS, SpanSamples
from hydratron.models.heads import SpanModel, span_parameters
from hydratron.models.language import LanguageModel
from hydratron.models.shape import Shape
from hydratron.parallel.sharding import ParamTable
from hydratron.tasks.answers import Answered, answered, best_threshold
from hydratron.tasks.contract import Arrays, Batch, Scores, Verdict, stacked
from hydratron.tasks.labelled import log_softmax
from hydratron.tasks.squad_metric import score, total

TOLD = ("start", "end")
NULL_THRESHOLD = 0.0


class Span:
    """(CE(start) + CE(end)) / 2 over all places of the sequence; 0 is "no answer here".

    A batch has `INPUTS` [b, s], `start`, `end` and `index` [b].
    """

    network: type[LanguageModel] = SpanModel
    parts: tuple[str, ...] = ("span",)
    unanswerable = False

    def parameters(self, shape: Shape, init_std: float) -> ParamTable:
        return span_parameters(shape, init_std)

    def predicted(self, sample: Any) -> npt.NDArray[np.int64]:
        return np.asarray([sample[name] for name in TOLD], dtype=np.int64)

    def collate(self, samples: Sequence[Any]) -> Arrays:
        return stacked(samples)

    def zeros(self, samples: int, seq_length: int) -> Batch:
        inputs = {name: torch.zeros(samples, seq_length, dtype=torch.int64) for name in INPUTS}
        told = {name: torch.zeros(samples, dtype=torch.int64) for name in (*TOLD, "index")}
        return inputs | told

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        return tuple(batch[name] for name in INPUTS)

    def counts(self, batch: Batch) -> Tensor:
        return torch.tensor([len(batch["start"])], dtype=torch.float64)

    def sums(self, network: Any, batch: Batch) -> Tensor:
        logits = network.logits(*(batch[name] for name in INPUTS)).float()
        both = [
            F.cross_entropy(logits[..., i], batch[name], reduction="sum")
            for i, name in enumerate(TOLD)
        ]
        return (sum(both, torch.zeros((), device=logits.device)) / 2).unsqueeze(0)

    def width(self, seq_length: int) -> int:
        return 2 * seq_length

    def outputs(self, network: Any, batch: Batch) -> Tensor:
        logits = network.logits(*(batch[name] for name in INPUTS))  # [b, s, 2]
        return torch.cat([logits[..., 0], logits[..., 1]], dim=-1).float()

    def judge(self, samples: SpanSamples, outputs: npt.NDArray[np.float32]) -> Verdict:
        both = outputs.astype(np.float64).reshape(len(outputs), 2, -1)
        found = answered(samples, both)
        said = {one.id: self._answer(one) for one in found}
        metrics = {"val/loss": _loss(samples, both)} | self._scores(found, said)
        predictions = [
            {"id": one.id, "prediction": said[one.id], "answers": list(one.answers),
             "exact": score(said[one.id], one.answers).exact,
             "f1": round(score(said[one.id], one.answers).f1, 6), "best": one.best,
             "null_odds": round(one.null_odds, 6)}
            for one in found
        ]  # fmt: skip
        files = {"predictions.json": json.dumps(said, ensure_ascii=False)}
        if self.unanswerable:
            odds = {one.id: one.null_odds for one in found}
            files["null_odds.json"] = json.dumps(odds)
        return Verdict(metrics, predictions, files)

    def _answer(self, one: Answered) -> str:
        null = self.unanswerable and one.null_odds > NULL_THRESHOLD
        return "" if null else one.best

    def _scores(self, found: Sequence[Answered], said: dict[str, str]) -> Scores:
        golds = {one.id: one.answers for one in found}
        whole = total(said, golds)
        metrics = {"val/exact_match": whole.exact / 100, "val/f1": whole.f1 / 100}
        if not self.unanswerable:
            return metrics
        for name, has in (("answerable", True), ("unanswerable", False)):
            some = {i: answers for i, answers in golds.items() if bool(answers) == has}
            if some:
                metrics[f"val/f1_{name}"] = total(said, some).f1 / 100
        best = best_threshold(found)
        return metrics | {"val/best_f1": best.f1 / 100, "val/best_null_threshold": best.threshold}


class SpanOrNone(Span):
    """The same where a question may have no answer: then [CLS] wins."""

    unanswerable = True


def _loss(samples: SpanSamples, both: npt.NDArray[np.float64]) -> float:
    """Nats per window; `both` [samples, 2, s]."""
    logs = log_softmax(both)
    places = [samples.sample(i) for i in range(len(both))]
    losses = [
        logs[np.arange(len(both)), i, [place[name] for place in places]]
        for i, name in enumerate(TOLD)
    ]
    return float(-(losses[0] + losses[1]).mean() / 2)
