"""One rank's training step on tensors without data, in a world of any size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hydratron.config.schema import Config
from hydratron.parallel.mesh import Mesh, ParallelGroup
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import parameter_count
from hydratron.planner.fake_group import fake_mesh
from hydratron.planner.internals import FakeTensorMode, ToldStage
from hydratron.planner.kernels import AcceleratorKernels
from hydratron.planner.memory import MemoryTrace, peaks
from hydratron.planner.modules import ModuleNames
from hydratron.planner.rank import PlannedRank, planned_rank, zeros
from hydratron.planner.recorder import FORWARD, RECOMPUTE, Collective, Kernel, Recorder

WEIGHTS, MASTERS, GRADIENTS, OPTIMIZER = "weights", "masters", "gradients", "optimizer"
ACTIVATIONS, RECOMPUTED, TEMPORARY = "activations", "recomputed", "temporary"
STATES = (WEIGHTS, MASTERS, GRADIENTS, OPTIMIZER)
CATEGORIES = (*STATES, ACTIVATIONS, RECOMPUTED, TEMPORARY)


@dataclass(frozen=True)
class Recorded:
    """What one optimizer step of one rank does, with the states of the step before in place.

    `collectives` in the order of the calls; `kernels` with their counts; `peaks` bytes by category
    at the highest point of each (phase, module); `parameters` of this rank and of the whole model.
    """

    collectives: tuple[Collective, ...]
    kernels: Counter[Kernel]
    peaks: dict[tuple[str, str], Counter[str]]
    parameters: int
    model_parameters: int


class PlannedStreams(RandomStreams):
    """Random streams without random numbers: there is nothing to drop out."""

    @contextmanager
    def tensor_parallel(self) -> Iterator[None]:
        yield

    def recompute(self, function: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
        def planned(*inputs: Tensor | None) -> Tensor:
            # Torch turns the mode off in backward, where this runs again.
            with AcceleratorKernels():
                return function(*inputs)

        result: Tensor = checkpoint(planned, *inputs, use_reentrant=False, preserve_rng_state=False)
        return result


def dry_run(
    config: Config,
    vocab_size: int,
    *,
    num_layers: int,
    micro_batches: int,
    half: bool = False,
    stage: int = 0,
) -> Recorded:
    """A step after the first, at a depth and a number of micro-batches that may be smaller.

    It is the first rank's of a `stage`; `num_layers` are those of all stages.  Without any
    micro-batch it is the update alone.
    """
    config = replace(config, model=replace(config.model, num_layers=num_layers))
    parallel, model = config.parallel, config.model
    masked = int(config.data.masking_prob * model.seq_length) * config.micro_batch_size
    ranks = ParallelGroup(0, parallel.tensor_model_parallel_size)
    streams = PlannedStreams(config.seed, tensor=ranks, in_sequence=parallel.sequence_parallel)

    def build(mesh: Mesh) -> PlannedRank:
        return planned_rank(config, vocab_size, mesh, streams, half, ToldStage)

    with (
        fake_mesh(parallel.axes, stage) as mesh,
        FakeTensorMode(),
        AcceleratorKernels(chosen=masked),
    ):
        return record(lambda: build(mesh), micro_batches)


def record(build: Callable[[], PlannedRank], micro_batches: int) -> Recorded:
    """What a step of that which `build` makes, real or not, does after an update before it."""
    modules, memory = ModuleNames(), MemoryTrace()
    categories: dict[int, str] = {}
    with Recorder(modules, memory) as recorder:
        worker = build()
        recorder.groups(worker.mesh)
        batch = zeros(worker.config)
        with modules.watching(worker.network):
            # All that the step before leaves: gradients and the optimizer's state.
            for parameter in worker.network.parameters():
                parameter.grad = torch.zeros_like(parameter)
            worker.update()
            categories |= _held(worker, memory)
            recorder.clear()
            first = len(memory.events)
            worker.step(batch, micro_batches)
            categories |= _held(worker, memory)
    for event in memory.events:
        if event.size > 0:
            kinds = {FORWARD: ACTIVATIONS, RECOMPUTE: RECOMPUTED}
            categories.setdefault(event.storage, kinds.get(event.moment[0], TEMPORARY))
    found = peaks(memory.events, categories, first)
    memory.close()
    named = dict(worker.network.named_parameters())
    return Recorded(
        tuple(recorder.collectives),
        recorder.kernels.copy(),
        found,
        parameters=sum(p.numel() for p in named.values()),
        model_parameters=parameter_count(named, worker.table, worker.mesh),
    )


def _held(worker: PlannedRank, memory: MemoryTrace) -> dict[int, str]:
    """The categories of the storages that live from step to step, after a step."""
    parameters = list(worker.network.parameters())
    masters = list((worker.masters or {}).values())
    states = [value for state in worker.optimizer.state.values() for value in state.values()]
    kinds: dict[str, list[Any]] = {
        WEIGHTS: parameters,
        MASTERS: masters,
        GRADIENTS: [p.grad for p in parameters if p.grad is not None],
        OPTIMIZER: [s for s in states if isinstance(s, Tensor)],
        ACTIVATIONS: worker.received,
    }
    return {n: kind for kind, tensors in kinds.items() for n in memory.numbers(tensors)}
