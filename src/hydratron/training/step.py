"""The one optimizer step: training takes it, and the planner takes it on tensors without data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hydratron.parallel.gradients import reduce_gradients, squared_norm
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.overlap import OverlappedSum
from hydratron.parallel.sharding import ParamTable
from hydratron.tasks.contract import Batch, Task
from hydratron.training.loss_scale import LossScale

# (micro-batches, losses of one, what forgets the gradients before them) -> summed losses [parts]
Schedule = Callable[[Sequence[Batch], Callable[[Batch], Tensor], Callable[[], None]], Tensor]


@dataclass(frozen=True)
class StepResult:
    """What all ranks agree on after a step.

    `losses`: the parts of the mean loss over the global batch, nats; `grad_norm`: of the whole
    gradient, before clipping; `stop`: some rank was asked to stop; `skipped`: a number is not
    finite, which fp16 forgives; `beyond`: why it does not any more.
    """

    losses: tuple[float, ...]
    grad_norm: float
    stop: bool = False
    skipped: bool = False
    beyond: str = ""

    @property
    def loss(self) -> float:
        return sum(self.losses)

    @property
    def broken(self) -> str | None:
        """Which number is not finite, so that the parameters were left as they are."""
        for name, value in (("loss", self.loss), ("gradient norm", self.grad_norm)):
            if not math.isfinite(value):
                return f"the {name} is {value}" + (f" ({self.beyond})" if self.beyond else "")
        return None


def in_turn(
    batches: Sequence[Batch], losses_of: Callable[[Batch], Tensor], clear: Callable[[], None]
) -> Tensor:
    """One micro-batch after the other, forward and backward."""
    clear()  # Before the first forward: old gradients would lie beside its activations.
    total: Tensor | None = None
    for batch in batches:
        losses = losses_of(batch)
        total = losses.detach() if total is None else total + losses.detach()
        losses.sum().backward()
        del losses
    assert total is not None, "a step has a micro-batch"
    return total


class Step:
    """All micro-batches of one optimizer step of one replica.

    Losses and gradients are summed and divided by counts over the global batch; what is not finite
    on any rank is seen by all of them, before the update.  `largest_norm` 0 turns clipping off;
    `precision` makes the context of a forward pass; `schedule` runs the micro-batches; `read` takes
    the numbers of the step off the device, all at once; `scale` is fp16's.  `own` are this rank's
    losses of the last step; `own_largest`, with a scale, the largest value of its gradients.
    """

    def __init__(
        self,
        network: nn.Module,
        table: ParamTable,
        task: Task,
        mesh: Mesh,
        largest_norm: float,
        precision: Callable[[], AbstractContextManager[Any]],
        schedule: Schedule = in_turn,
        read: Callable[[Tensor], list[float]] = Tensor.tolist,
        scale: LossScale | None = None,
    ) -> None:
        self.network, self.table, self.task, self.mesh = network, table, task, mesh
        self.largest_norm, self.precision = largest_norm, precision
        self.schedule, self.read, self.scale = schedule, read, scale
        # Another schedule runs several backwards after the last forward.
        in_order = schedule is in_turn
        self.overlap = OverlappedSum.of(network, table, mesh.data) if in_order else None
        self.own: Tensor | None = None
        self.own_largest: Tensor | None = None

    def __call__(
        self,
        batches: Sequence[Batch],
        counts: Tensor,
        update: Callable[[], Any],
        stop: Callable[[], bool] = bool,
    ) -> StepResult:
        """Forward, backward and, where all numbers are finite, `update()`.

        `counts` [parts], fp64: what this replica counted in all of its micro-batches; `stop()`, at
        the end: whether this rank was asked to stop.
        """
        counts = self.mesh.data.all_reduce(counts.clone()).clamp(min=1.0).float()
        left = len(batches)

        def losses_of(batch: Batch) -> Tensor:
            nonlocal left
            left -= 1
            with self.precision():
                losses = self.task.sums(self.network, batch) / counts
            if self.overlap is not None and not left:
                self.overlap.begin()
            return losses if self.scale is None else self.scale.apply(losses)

        losses = self.own = self.schedule(batches, losses_of, self.network.zero_grad)
        return self.finish(losses, update, stop)

    def finish(
        self, losses: Tensor, update: Callable[[], Any], stop: Callable[[], bool]
    ) -> StepResult:
        """Reduce the gradients, agree on what came out, clip and update; `losses` [parts]."""
        parameters = dict(self.network.named_parameters())
        if self.scale is not None:  # Now, since a sum over replicas hides whose it was.
            own = [p.grad for p in parameters.values() if p.grad is not None]
            self.own_largest = torch.nn.utils.get_total_norm(own, math.inf)
        done = set() if self.overlap is None else self.overlap.finish()
        gradients = reduce_gradients(parameters, self.table, self.mesh, done)
        if self.scale is not None:
            self.scale.unscale(gradients.values())
        squared = squared_norm(gradients, self.table, self.mesh, losses.device)
        # What ranks hold alike counts on the first alone; elsewhere 0 times, and 0 * NaN is NaN.
        squared = squared * (self.mesh.data.rank == 0)
        asked = torch.full_like(squared, float(stop()))
        shares = losses.double() * (self.mesh.tensor.rank == 0)
        said = torch.cat([torch.stack([squared, asked]), shares])
        for group in self.mesh.axes.values():
            group.all_reduce(said)
        norm = said[0].sqrt().float()
        grad_norm, stopped, *parts = self.read(torch.cat([norm.double().unsqueeze(0), said[1:]]))
        result = StepResult(tuple(parts), grad_norm, stopped > 0)
        if result.broken is None:
            if self.largest_norm:
                torch.nn.utils.clip_grads_with_norm_(parameters.values(), self.largest_norm, norm)
            update()
        if self.scale is not None:
            beyond = self.scale.see(math.isfinite(result.loss), math.isfinite(grad_norm))
            skipped = result.broken is not None and beyond is None
            result = replace(result, skipped=skipped, beyond=beyond or "")
        return result
