"""A small network and all kinds of participants of a checkpoint, over any number of ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, AdamW, Optimizer

from hydratron.checkpoint.participants import ModelState, OptimizerState, StreamState
from hydratron.checkpoint.stateful import Stateful
from hydratron.parallel.distributed_optimizer import OwnRows
from hydratron.parallel.mesh import Mesh, build_mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamSpec, ParamTable, shard

SHAPES = {"rows": (8, 3), "columns": (3, 8), "whole": (5,)}
TABLE = ParamTable(
    ParamSpec("rows", shard_dim=0), ParamSpec("columns", shard_dim=1), ParamSpec("whole")
)
OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "adamw": lambda p: AdamW(p, lr=0.1),
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "sgd": lambda p: SGD(p, lr=0.1),
    "adagrad": lambda p: Adagrad(p, lr=0.1),
}
# The state of a user's callback: containers in containers, tensors anywhere.
NESTED: dict[str, Any] = {
    "best": [(1, torch.arange(3)), {7: torch.tensor(float("inf")), "x/y": float("-inf")}],
    "best/1": {"x": None, "__kind__": {"leaf"}},
}


class Callback:
    """Whatever has a state."""

    def __init__(self, content: Any = None) -> None:
        self.content = content

    def state_dict(self) -> dict[str, Any]:
        return dict(self.content)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.content = state_dict


class Run:
    """Network, optimizer, streams and callback of one rank.

    `seed` draws the weights; with `zero` each replica has the optimizer's state of its own rows.
    """

    def __init__(
        self, tp: int, optimizer: str = "adamw", seed: int = 1, dp: int = 1, zero: bool = False
    ) -> None:
        self.mesh: Mesh = build_mesh({"data": dp, "tensor": tp}, "cpu")
        self.network = nn.Module()
        for name, part in self.drawn(seed).items():
            self.network.register_parameter(name, nn.Parameter(part))
        self.rows = OwnRows.of(self.network, self.mesh.data, zero)
        owned = self.rows.parts.values() if self.rows else self.network.parameters()
        self.optimizer = OPTIMIZERS[optimizer](owned)
        self.streams = RandomStreams(seed, tensor=self.mesh.tensor, data=self.mesh.data)
        self.callback = Callback({})
        self.participants: dict[str, Any] = {
            "model": ModelState(self.network, TABLE, self.mesh),
            "optimizer": OptimizerState(self.network, self.optimizer, TABLE, self.mesh, self.rows),
            "random": StreamState(self.streams, self.mesh),
            "callback": Stateful(self.callback),
        }

    def drawn(self, seed: int) -> dict[str, Tensor]:
        """This rank's parts of tensors that are the same at every degree."""
        draw = torch.Generator().manual_seed(seed)
        whole = {name: torch.randn(shape, generator=draw) for name, shape in SHAPES.items()}
        dims = {name: TABLE[name].shard_dim for name in SHAPES}
        return {n: shard(t, dims[n], self.mesh.tensor).clone() for n, t in whole.items()}

    def step(self, seed: int) -> None:
        """One update by gradients drawn from `seed`."""
        for name, grad in self.drawn(seed).items():
            self.network.get_parameter(name).grad = grad
        if self.rows:
            self.rows.update(self.optimizer.step)
        else:
            self.optimizer.step()

    def content(self) -> list[str]:
        """Every number of it, to the last bit, as sorted lines of text."""
        torch.set_printoptions(precision=17, threshold=10**6)
        optimizer = self.optimizer.state_dict()
        tables = {
            "model": self.network.state_dict(),
            "random": self.streams.state(),
            "groups": dict(enumerate(optimizer["param_groups"])),
            **optimizer["state"],
        }
        return sorted(
            f"{name} {key}: {value}" for name, t in tables.items() for key, value in t.items()
        )
