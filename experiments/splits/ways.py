"""One rank of every way to split: the job's own network, optimizer and step, without Lightning."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from spans import of_its_own
from torch import Tensor
from torch.distributed.pipelining import PipelineStage
from torch.utils._python_dispatch import TorchDispatchMode

from hydratron.config.schema import Config
from hydratron.models.init import initialize
from hydratron.parallel.distributed_optimizer import OwnRows
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.pipeline import Pipeline
from hydratron.parallel.random import RandomStreams
from hydratron.planner.internals import kept_by, tensors
from hydratron.planner.memory import MemoryTrace
from hydratron.training.build import build_network, parameter_table
from hydratron.training.optimizers import build_optimizer
from hydratron.training.precision import autocast
from hydratron.training.spmd import in_turn_as_one, one_program
from hydratron.training.stages import Stages
from hydratron.training.step import Schedule, Step, StepResult, in_turn

# What `parallel.` says of each; the number behind it is of micro-batches.
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sequence": {"sequence_parallel": True},
    "zero": {"distributed_optimizer": True},
    "dtensor": {"backend": "dtensor"},
    "gpipe": {"pipeline_schedule": "gpipe"},
    "1f1b": {"pipeline_schedule": "1f1b"},
}
COUNTS = (1, 2, 4, 8, 16)
NAMES = tuple(f"{way}_{count}" for way in WAYS for count in COUNTS)
SIZES = {
    "tp": "tensor_model_parallel_size",
    "dp": "data_parallel_size",
    "pp": "pipeline_model_parallel_size",
}


def configured(config: Config, name: str, degree: str) -> Config:
    """The job split by `gpipe_4` at `tp2_pp2`: the same tokens in that many micro-batches."""
    way, _, count = name.rpartition("_")
    sizes = {SIZES[axis]: int(ranks) for axis, ranks in re.findall(r"(tp|dp|pp)(\d+)", degree)}
    parallel = replace(config.parallel, transport="gloo", **WAYS[way], **sizes)
    whole = config.trainer.global_batch_size
    each = whole // parallel.data_parallel_size // int(count)
    trainer = replace(config.trainer, micro_batch_size=each)
    return replace(config, parallel=parallel, trainer=trainer)


@dataclass
class Rank:
    """This rank of a job; `make` makes torch's stages where there are some."""

    config: Config
    vocab: int
    mesh: Mesh
    make: Callable[..., PipelineStage] = PipelineStage

    def __post_init__(self) -> None:
        config, mesh, parallel = self.config, self.mesh, self.config.parallel
        device, precision = torch.device("cpu"), autocast(config.trainer.precision, "cpu")
        in_sequence = parallel.sequence_parallel
        streams = RandomStreams(
            config.seed, device, mesh.tensor, mesh.data, in_sequence, mesh.pipeline
        )
        self.table, self.task = parameter_table(config), config.learning.task()
        self.network = build_network(config, self.vocab, mesh, streams, device)
        initialize(self.network, self.table, config.seed, mesh.tensor, self.vocab)
        self.rows = OwnRows.of(self.network, mesh.data, parallel.distributed_optimizer)
        held = self.rows.parts if self.rows else dict(self.network.named_parameters())
        self.optimizer = build_optimizer(held, self.table, config.optim)
        self.torch_stages: list[PipelineStage] = []
        task, schedule = self.task, in_turn
        if parallel.spmd:
            task, schedule = one_program(task, self.table, mesh), in_turn_as_one
        if mesh.pipeline.size > 1:
            kind = next(self.network.parameters()).dtype
            way = parallel.pipeline_schedule
            pipeline = Pipeline(mesh.pipeline, way, device, kind, self._made)
            schedule = Stages(self.network, task, pipeline, precision)
        self._step = self._stepping(task, precision, schedule)

    def _stepping(self, task: Any, precision: Any, schedule: Schedule) -> Step:
        clip = self.config.optim.clip_grad
        return Step(self.network, self.table, task, self.mesh, clip, precision, schedule)

    def _made(self, *given: Any, **named: Any) -> PipelineStage:
        self.torch_stages.append(self.make(*given, **named))
        return self.torch_stages[-1]

    def step(self, batches: Sequence[dict[str, Tensor]]) -> StepResult:
        """One optimizer step of this replica's micro-batches."""
        counts = torch.stack([self.task.counts(batch) for batch in batches]).sum(dim=0)
        plain = self.optimizer.step
        update = partial(self.rows.update, plain) if self.rows else plain
        return self._step(batches, counts, update)

    def peak_bytes(self, batches: Sequence[dict[str, Tensor]]) -> int:
        """The most that all tensors hold together during a step, however torch gets its memory."""
        with Held() as held:
            for tensor in self._living():
                held.trace.see(tensor)
            self.step(batches)
        live = most = 0
        for event in held.trace.events:
            live += event.size
            most = max(most, live)
        held.trace.close()
        return most

    def _living(self) -> Iterator[Tensor]:
        """What lives from step to step."""
        for parameter in self.network.parameters():
            yield parameter
            if parameter.grad is not None:
                yield parameter.grad
        yield from tensors([list(state.values()) for state in self.optimizer.state.values()])
        for stage in self.torch_stages:
            yield from kept_by(stage)


class Held(TorchDispatchMode):
    """Sees every tensor that comes, those that DTensors are made of too."""

    def __init__(self) -> None:
        super().__init__()
        self.trace = MemoryTrace()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if of_its_own(types):
            return NotImplemented
        result = function(*args, **(kwargs or {}))
        for tensor in tensors(result):
            if type(tensor) is Tensor:
                self.trace.see(tensor)
        return result
