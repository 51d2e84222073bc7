"""Training steps as the strategy does them, in the same order, without Lightning around them.

Lightning logs and checks values as it goes, and tensors without data have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hydratron.config.schema import Config
from hydratron.parallel.gradients import finish_gradients
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamTable
from hydratron.training.build import build_network, parameter_table
from hydratron.training.objective import OBJECTIVES
from hydratron.training.optimizers import build_optimizer

# The paper's parameters, activations and gradients (section 4.2); the optimizer's copy is fp32.
HALF = torch.float16


@dataclass
class Stepper:
    """One rank's network and optimizer; `masters`: fp32 copies of parameters that are fp16."""

    config: Config
    mesh: Mesh
    table: ParamTable
    network: Any
    optimizer: torch.optim.Optimizer
    masters: dict[str, nn.Parameter] | None = None

    def step(self, batch: Any, micro_batches: int) -> None:
        """`micro_batches` times forward and backward over the same batch, then one update."""
        objective = OBJECTIVES[self.config.model.architecture]
        counts = self.counts()
        for number in range(micro_batches):
            with self._precision():
                loss = (objective.sums(self.network, batch) / counts).sum()
            if number == 0:
                self.network.zero_grad()
            loss.backward()
            del loss
        self.update()

    def counts(self) -> Tensor:
        """How many predictions the losses of a step are divided by, [parts]."""
        parts = OBJECTIVES[self.config.model.architecture].parts
        return self.mesh.data.all_reduce(torch.ones(len(parts), dtype=torch.float64)).float()

    def update(self) -> None:
        """Reduce and clip the gradients, and change the parameters."""
        named = dict(self.network.named_parameters())
        finish_gradients(named, self.table, self.mesh, self.config.optim.clip_grad)
        if self.masters is None:
            self.optimizer.step()
            return
        for name, master in self.masters.items():
            master.grad = named[name].grad.float()
        self.optimizer.step()
        with torch.no_grad():
            for name, master in self.masters.items():
                named[name].copy_(master)
                master.grad = None

    def _precision(self) -> Any:
        if self.config.trainer.precision == "bf16" and self.masters is None:
            return torch.autocast("cpu", dtype=torch.bfloat16)
        return nullcontext()


def stepper(
    config: Config, vocab_size: int, mesh: Mesh, streams: RandomStreams, half: bool = False
) -> Stepper:
    """The network and optimizer of a job, with empty weights; `half`: the paper's fp16 weights."""
    table = parameter_table(config.model)
    with default_type(HALF if half else torch.float32):
        network = build_network(config.model, vocab_size, mesh.tensor, streams, "cpu")
    named = dict(network.named_parameters())
    masters = {n: nn.Parameter(p.detach().float()) for n, p in named.items()} if half else None
    optimizer = build_optimizer(masters or named, table, config.optim)
    return Stepper(config, mesh, table, network, optimizer, masters)


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    """New tensors of no stated type have this one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def batch_of(config: Config) -> Any:
    """A micro-batch of zeros in the form of the model's samples."""
    b, s = config.micro_batch_size, config.model.seq_length
    if config.model.architecture == "gpt":
        return torch.zeros(b, s + 1, dtype=torch.int64)
    names = ("tokens", "types", "padding_mask")
    batch: dict[str, Tensor] = {n: torch.zeros(b, s, dtype=torch.int64) for n in names}
    return batch | {"labels": torch.zeros(b, s, dtype=torch.int64), "sop": torch.zeros(b).long()}
