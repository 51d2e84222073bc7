"""What the validation samples add up to, by replicas that each see some of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hydratron.parallel.mesh import ParallelGroup
from hydratron.tasks.contract import Batch, Judged, Summed, Verdict


class Validation(Protocol):
    """One validation: a batch after the other, then its verdict, the same on all ranks."""

    def add(self, network: Any, batch: Batch) -> None: ...

    def verdict(self, *groups: ParallelGroup) -> Verdict:
        """`groups` are those over which what was added is divided."""


class Sums:
    """Metrics of sums: nothing is kept of single samples."""

    def __init__(self, task: Summed, device: torch.device) -> None:
        self.task = task
        self.total = torch.zeros(task.scored, dtype=torch.float64, device=device)

    def add(self, network: Any, batch: Batch) -> None:
        self.total += self.task.scores(network, batch)

    def verdict(self, *groups: ParallelGroup) -> Verdict:
        total = summed(self.total, groups)
        return Verdict(self.task.metrics(total.tolist()), [], {})


class Outputs:
    """What the network says of every sample, each seen by one replica."""

    def __init__(self, task: Judged, device: torch.device, samples: Any, seq_length: int) -> None:
        self.task, self.samples = task, samples
        size = len(samples), task.width(seq_length)
        self.said = torch.zeros(size, dtype=torch.float32, device=device)

    def add(self, network: Any, batch: Batch) -> None:
        self.said[batch["index"]] = self.task.outputs(network, batch)

    def verdict(self, *groups: ParallelGroup) -> Verdict:
        # What one replica said plus zeros of the others.
        said = summed(self.said, groups)
        return self.task.judge(self.samples, np.asarray(said.cpu().numpy()))


def summed(values: Tensor, groups: Iterable[ParallelGroup]) -> Tensor:
    """The sum over the ranks of all the groups, in a tensor of its own."""
    values = values.clone()
    for group in groups:
        group.all_reduce(values)
    return values


def validation_of(task: Any, device: torch.device, samples: Any, seq_length: int) -> Validation:
    """Of one task; `samples` are those that validate."""
    if isinstance(task, Judged):
        return Outputs(task, device, samples, seq_length)
    return Sums(task, device)
