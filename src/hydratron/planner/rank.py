"""One rank that takes training's own step, without Lightning and without data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage

from hydratron.config.schema import Config
from hydratron.parallel.distributed_optimizer import OwnRows
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.pipeline import Pipeline
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamTable
from hydratron.planner.internals import kept_by
from hydratron.tasks.contract import Batch
from hydratron.training.build import build_network, parameter_table
from hydratron.training.loss_scale import LossScale
from hydratron.training.optimizers import build_optimizer
from hydratron.training.precision import autocast
from hydratron.training.stages import Stages
from hydratron.training.step import Step, in_turn

# The paper's parameters, activations and gradients (section 4.2); the optimizer's copy is fp32.
HALF = torch.float16


@dataclass
class PlannedRank:
    """A rank's network and optimizer; `masters`: fp32 copies of parameters that are fp16.

    `rows`: those that the optimizer has, where it is distributed; `stages`: how micro-batches go
    through a pipeline, and `received` what of it stays; `nothing` [parts] stands for the losses,
    which nobody knows.
    """

    config: Config
    mesh: Mesh
    table: ParamTable
    network: Any
    optimizer: torch.optim.Optimizer
    nothing: Tensor
    masters: dict[str, nn.Parameter] | None = None
    rows: OwnRows | None = None
    stages: Stages | None = None
    torch_stages: list[PipelineStage] = field(default_factory=list)

    @property
    def received(self) -> list[Tensor]:
        return [tensor for stage in self.torch_stages for tensor in kept_by(stage)]

    def step(self, batch: Batch, micro_batches: int) -> None:
        """One step of `micro_batches` times the same batch; of none it is the update alone."""
        task, precision = self.config.learning.task(), self.config.trainer.precision
        count = len(task.parts)

        def schedule(
            batches: Sequence[Batch], losses: Callable[[Batch], Tensor], clear: Callable[[], None]
        ) -> Tensor:
            if batches:
                (self.stages or in_turn)(batches, losses, clear)
            return self.nothing

        scaled = precision == "fp16" and not self.masters
        step = Step(
            self.network,
            self.table,
            task,
            self.mesh,
            self.config.optim.clip_grad,
            self.precision,
            schedule,
            # Nobody knows the numbers of a step without data.
            read=lambda numbers: [0.0] * len(numbers),
            scale=LossScale(self.config.trainer.loss_scale) if scaled else None,
        )
        step([batch] * micro_batches, torch.ones(count, dtype=torch.float64), self.update)

    @property
    def precision(self) -> Callable[[], AbstractContextManager[Any]]:
        return autocast("fp32" if self.masters else self.config.trainer.precision, "cpu")

    def use_stages(self, make: Callable[..., PipelineStage]) -> None:
        """Have micro-batches go through the stages of the mesh, which `make` makes."""

        def made(*given: Any, **named: Any) -> PipelineStage:
            self.torch_stages.append(make(*given, **named))
            return self.torch_stages[-1]

        kind = next(self.network.parameters()).dtype
        schedule = self.config.parallel.pipeline_schedule
        pipeline = Pipeline(self.mesh.pipeline, schedule, torch.device("cpu"), kind, made)
        self.stages = Stages(self.network, self.config.learning.task(), pipeline, self.precision)

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
    config: Config,
    vocab_size: int,
    mesh: Mesh,
    streams: RandomStreams,
    half: bool = False,
    make: Callable[..., PipelineStage] = PipelineStage,
) -> PlannedRank:
    """The network and optimizer of a job, with empty weights; `half`: the paper's fp16 weights.

    `make` makes torch's stages where the mesh has some.
    """
    table = parameter_table(config)
    with _default_type(HALF if half else torch.float32):
        network = build_network(config, vocab_size, mesh, streams, "cpu")
    rows = OwnRows.of(network, mesh.data, config.parallel.distributed_optimizer)
    named = rows.parts if rows else dict(network.named_parameters())
    masters = {n: nn.Parameter(p.detach().float()) for n, p in named.items()} if half else None
    optimizer = build_optimizer(masters or named, table, config.optim)
    nothing = torch.zeros(len(config.learning.task().parts))
    worker = PlannedRank(config, mesh, table, network, optimizer, nothing, masters, rows)
    if mesh.pipeline.size > 1:
        worker.use_stages(make)
    return worker


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
