"""Micro-batches through a network whose layers are divided among the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from hydratron.models.language import LanguageModel
from hydratron.parallel.pipeline import Pipeline
from hydratron.tasks.contract import Batch, Task


class Stages:
    """The `Schedule` of a step, and the way of the validation, through this rank's stage.

    Every stage reads the batches: the first one their tokens, BERT's others the mask of padding,
    the last one what is to be told.  Losses are the last one's, zero on all others.
    """

    def __init__(
        self,
        network: LanguageModel,
        task: Task,
        pipeline: Pipeline,
        precision: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self.network, self.task = network, task
        self.pipeline, self.precision = pipeline, precision

    def __call__(
        self,
        batches: Sequence[Batch],
        losses_of: Callable[[Batch], Tensor],
        clear: Callable[[], None],
    ) -> Tensor:
        """Forward and backward of all micro-batches, which have one shape; their summed losses."""
        total = torch.zeros(len(self.task.parts), device=self.pipeline.device)

        def work(batch: Batch, received: Tensor | None) -> Tensor:
            if not self.network.last:
                return self._passed_on(batch, received)
            with self.network.receiving(received):
                losses = losses_of(batch)
            total.add_(losses.detach())
            return losses

        clear()
        self.pipeline.train([partial(work, batch) for batch in batches], self.flowing(batches[0]))
        return total

    def forward(self, batches: Sequence[Batch], see: Callable[[Batch], Any]) -> None:
        """Forward alone; `see` is called with every batch at the last stage, where it may use the
        network as if all of it were there."""

        def work(batch: Batch, received: Tensor | None) -> Tensor:
            if not self.network.last:
                return self._passed_on(batch, received)
            with self.network.receiving(received):
                see(batch)
            return torch.zeros(())

        # The last batch of all samples may be smaller.
        for shape, alike in groupby(batches, self.flowing):
            self.pipeline.forward([partial(work, batch) for batch in alike], shape)

    def flowing(self, batch: Batch) -> tuple[int, int, int]:
        """The shape of what goes from stage to stage: [b, s, h], or a rank's own tokens of it."""
        samples, tokens = self.task.inputs(batch)[0].shape
        ranks = self.network.group.size if self.network.streams.in_sequence else 1
        return samples, tokens // ranks, self.network.shape.hidden_size

    def _passed_on(self, batch: Batch, received: Tensor | None) -> Tensor:
        with self.precision(), self.network.receiving(received):
            x: Tensor = self.network(*self.task.inputs(batch))
        return x
