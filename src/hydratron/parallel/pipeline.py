"""Micro-batches through the stages of a pipeline, by the schedules of torch.distributed.pipelining.

GPipe (Huang et al. 2019, arXiv:1811.06965): all forwards, then all backwards.  1F1B (Narayanan et
al. 2019, PipeDream): each stage goes back as soon as it can, so that it keeps the activations of no
more micro-batches than there are stages from it on.  Both give the gradient of the whole batch.

What a stage gives to the next one is one tensor, of the same shape for all micro-batches of a run:
torch is told it beforehand, because to find it out it would run everything once more, and draw
random numbers on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from hydratron.parallel.mesh import ParallelGroup

SCHEDULES = {"gpipe": ScheduleGPipe, "1f1b": Schedule1F1B}

# (what came from the stage before this one, None at the first) -> what goes on to the next
# one; at the last one the losses, whose sum is gone back from.
Work = Callable[[Tensor | None], Tensor]


class Pipeline:
    """This rank's stage of the pipeline of `stages`, and the schedule that runs it.

    `dtype` is that of what flows between the stages, `make` makes torch's stages.
    """

    def __init__(
        self,
        stages: ParallelGroup,
        schedule: str,
        device: torch.device,
        dtype: torch.dtype,
        make: Callable[..., PipelineStage] = PipelineStage,
    ) -> None:
        self.stages, self.schedule, self.device, self.dtype = stages, schedule, device, dtype
        self.make = make
        self._known: dict[Any, tuple[_Part, Any]] = {}

    def train(self, work: Sequence[Work], shape: Sequence[int]) -> None:
        """Forward and backward of every micro-batch; `shape` is of what flows between stages."""
        key = len(work), tuple(shape)
        if key not in self._known:
            self._known[key] = self._scheduled(*key, trains=True)
        part, schedule = self._known[key]
        part.todo = iter(work)
        last = self.stages.rank == self.stages.size - 1
        # A loss here is its output's own, but torch asks for targets.
        given = {"target": torch.zeros(len(work))} if last else {}
        schedule.step(**given, return_outputs=False)

    @torch.no_grad()
    def forward(self, work: Sequence[Work], shape: Sequence[int]) -> None:
        """Forward alone of every micro-batch; nothing of it is kept."""
        part, schedule = self._scheduled(len(work), tuple(shape), trains=False)
        part.todo = iter(work)
        schedule.step(return_outputs=False)

    def _scheduled(self, count: int, shape: tuple[int, ...], trains: bool) -> tuple[_Part, Any]:
        """For one number of micro-batches: torch keeps room for all that it receives of them."""
        part = _Part()
        flowing = torch.empty(shape, dtype=self.dtype, device="meta", requires_grad=trains)
        stage = self.make(
            part,
            self.stages.rank,
            self.stages.size,
            self.device,
            input_args=flowing if self.stages.rank else (),
            output_args=flowing,
            group=self.stages.handle,
        )
        kind = SCHEDULES[self.schedule] if trains else ScheduleGPipe
        return part, kind(stage, count, _summed if trains else None, scale_grads=False)


class _Part(nn.Module):
    """What torch calls once for every micro-batch, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.todo: Iterator[Work] = iter(())

    def forward(self, received: Tensor | None = None) -> Tensor:
        return next(self.todo)(received)


def _summed(losses: Tensor, target: Tensor) -> Tensor:
    return losses.sum()
