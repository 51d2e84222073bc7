"""What a task is to training, evaluation and planner, which know nothing else of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from hydratron.models.language import LanguageModel
from hydratron.models.shape import Shape
from hydratron.parallel.sharding import ParamTable

Batch = dict[str, Tensor]
Arrays = dict[str, npt.NDArray[Any]]
Scores = dict[str, float]


class Task(Protocol):
    """Samples -> batch, loss and scores.

    Every part of a loss is divided by its count over the global batch, so that neither the number
    of replicas nor the size of a micro-batch changes the gradient.  (Megatron-LM divides BERT's
    masked loss by the count of each rank and averages the ranks.)  Losses are in nats; sums and
    counts are float64 unless they are trained on.  `network` is the trunk with the head that the
    task needs; `parts` names the losses whose sum is minimised.  A task is `Summed` or `Judged`.
    """

    network: type[LanguageModel]
    parts: tuple[str, ...]

    def parameters(self, shape: Shape, init_std: float) -> ParamTable:
        """How the parameters of the network are split, drawn and decayed."""

    def predicted(self, sample: Any) -> npt.NDArray[np.int64]:
        """What the network has to tell of a sample: tokens or a label."""

    def collate(self, samples: Sequence[Any]) -> Arrays:
        """One micro-batch of samples as arrays, the samples their first dimension."""

    def zeros(self, samples: int, seq_length: int) -> Batch:
        """A micro-batch without data."""

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What the network's forward reads of a micro-batch; the tokens [b, s] come first."""

    def counts(self, batch: Batch) -> Tensor:
        """[parts]: over how many predictions the losses of this micro-batch are summed."""

    def sums(self, network: Any, batch: Batch) -> Tensor:
        """[parts]: the summed losses of this micro-batch, fp32, with a gradient."""


@runtime_checkable
class Summed(Task, Protocol):
    """A task whose metrics follow from sums over the validation samples, `scored` of them."""

    scored: int

    def scores(self, network: Any, batch: Batch) -> Tensor:
        """[scored]: what is added up over the validation samples."""

    def metrics(self, scores: Sequence[float]) -> Scores:
        """The metrics `val/...` of all validation samples together."""


class Verdict(NamedTuple):
    """What became of the validation samples.

    predictions: a row of predictions.jsonl for each; files: further ones by name.
    """

    metrics: Scores
    predictions: list[dict[str, Any]]
    files: dict[str, str]


@runtime_checkable
class Judged(Task, Protocol):
    """A task whose metrics need what the network says of every validation sample.

    So all of them count alike, however they are divided over replicas and micro-batches.  A batch
    has `index` [b]: the place of each sample in the order of the files.
    """

    def width(self, seq_length: int) -> int:
        """Numbers that are kept of a sample."""

    def outputs(self, network: Any, batch: Batch) -> Tensor:
        """[b, width], fp32."""

    def judge(self, samples: Any, outputs: npt.NDArray[np.float32]) -> Verdict:
        """`outputs` [samples, width] of all validation samples, in the order of the files."""


@runtime_checkable
class Uneven(Task, Protocol):
    """A task whose samples differ in length, and whose batch is as long as its longest.

    So those of a step that are about as long share a micro-batch: its losses are sums, which do
    not depend on who is beside whom.
    """

    def length(self, sample: Any) -> int:
        """The tokens of a sample, its padding left out."""


def alike(task: Task, step: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """The samples of a step in as many micro-batches of the same sizes, the shortest first where
    the task is `Uneven`; as they came where it is not."""
    if not isinstance(task, Uneven):
        return list(step)
    rest = iter(sorted(chain.from_iterable(step), key=task.length))
    return [list(islice(rest, len(samples))) for samples in step]


def stacked(samples: Sequence[Arrays]) -> Arrays:
    """Samples of equal arrays as one batch."""
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def perplexity(loss: float) -> float:
    """exp(loss), as far as a float goes."""
    return math.exp(min(loss, 700.0))
