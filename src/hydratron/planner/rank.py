"""One rank that takes training's own step, without Lightning and without data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hydratron.config.schema import Config
from hydratron.parallel.distributed_optimizer import OwnRows
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamTable
from hydratron.tasks.contract import Batch
from hydratron.training.build import build_network, parameter_table
from hydratron.training.loss_scale import LossScale
from hydratron.training.optimizers import build_optimizer
from hydratron.training.precision import autocast
from hydratron.training.step import Step, in_turn

# The paper's parameters, activations and gradients (section 4.2); the optimizer's copy is fp32.
HALF = torch.float16


@dataclass
class PlannedRank:
    """A rank's network and optimizer; `masters`: fp32 copies of parameters that are fp16.

    `rows`: those that the optimizer has, where it is distributed; `nothing` [parts] stands for the
    losses, which nobody knows.
    """

    config: Config
    mesh: Mesh
    table: ParamTable
    network: Any
    optimizer: torch.optim.Optimizer
    nothing: Tensor
    masters: dict[str, nn.Parameter] | None = None
    rows: OwnRows | None = None

    def step(self, batch: Batch, micro_batches: int) -> None:
        """One step of `micro_batches` times the same batch; of none it is the update alone."""
        task, precision = self.config.learning.task(), self.config.trainer.precision
        count = len(task.parts)

        def schedule(
            batches: Sequence[Batch], losses: Callable[[Batch], Tensor], clear: Callable[[], None]
        ) -> Tensor:
            if batches:
                in_turn(batches, losses, clear)
            return self.nothing

        scaled = precision == "fp16" and not self.masters
        step = Step(
            self.network,
            self.table,
            task,
            self.mesh,
            self.config.optim.clip_grad,
            autocast("fp32" if self.masters else precision, "cpu"),
            schedule,
            # Nobody knows the numbers of a step without data.
            read=lambda numbers: [0.0] * len(numbers),
            scale=LossScale(self.config.trainer.loss_scale) if scaled else None,
        )
        step([batch] * micro_batches, torch.ones(count, dtype=torch.float64), self.update)

    def update(self) -> None:
        """The optimizer's part of a step."""
        step = self.optimizer.step if self.masters is None else self._by_masters
        if self.rows is None:
            step()
        else:
            self.rows.update(step)

    def _by_masters(self) -> None:
        assert self.masters is not None
        whole = dict(self.network.named_parameters())
        named: Mapping[str, Any] = self.rows.parts if self.rows else whole
        for name, master in self.masters.items():
            master.grad = named[name].grad.float()
        self.optimizer.step()
        with torch.no_grad():
            for name, master in self.masters.items():
                named[name].copy_(master)
                master.grad = None


def planned_rank(
    config: Config, vocab_size: int, mesh: Mesh, streams: RandomStreams, half: bool = False
) -> PlannedRank:
    """The network and optimizer of a job, with empty weights; `half`: the paper's fp16 weights."""
    table = parameter_table(config)
    with _default_type(HALF if half else torch.float32):
        network = build_network(config, vocab_size, mesh, streams, "cpu")
    rows = OwnRows.of(network, mesh.data, config.parallel.distributed_optimizer)
    named = rows.parts if rows else dict(network.named_parameters())
    masters = {n: nn.Parameter(p.detach().float()) for n, p in named.items()} if half else None
    optimizer = build_optimizer(masters or named, table, config.optim)
    nothing = torch.zeros(len(config.learning.task().parts))
    return PlannedRank(config, mesh, table, network, optimizer, nothing, masters, rows)


def zeros(config: Config) -> Batch:
    """A micro-batch without data."""
    return config.learning.task().zeros(config.micro_batch_size, config.model.seq_length)


@contextmanager
def _default_type(dtype: torch.dtype) -> Iterator[None]:
    """New tensors of no stated type have this one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
