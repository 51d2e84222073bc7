"""The participants of a training: model, optimizer, random streams, and objects of any kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.optim import Optimizer

from hydratron.checkpoint.participant import Saved, State
from hydratron.errors import HydratronError
from hydratron.parallel.mesh import TENSOR, Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamTable, full_shape


def view(tensor: Tensor, shard_dim: int | None, mesh: Mesh) -> Tensor:
    """A DTensor over this rank's part: it shares the memory and knows its place in the whole."""
    assert mesh.device_mesh is not None
    split = Replicate() if shard_dim is None else Shard(shard_dim)
    placements = [split if axis == TENSOR else Replicate() for axis in mesh.axes]
    return DTensor.from_local(tensor.detach(), mesh.device_mesh, placements, run_check=False)


class ModelState:
    """Every parameter as a view, without a copy: it is read in place."""

    def __init__(self, network: nn.Module, table: ParamTable, mesh: Mesh) -> None:
        self.network, self.table, self.mesh = network, table, mesh

    def state(self) -> State:
        named = self.network.named_parameters()
        return {name: view(p, self.table[name].shard_dim, self.mesh) for name, p in named}

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        return self.state()

    def load(self, state: State) -> None:
        """Nothing: the parameters are filled."""


class OptimizerState:
    """What any torch optimizer keeps for each parameter, as `exp_avg/NAME`.

    Tensors of the parameter's own shape are split as it is; others must be whole on every rank.
    Learning rates and the like come from the configuration, so that a resumed run may change them;
    what else an optimizer writes into its groups is `group/0/KEY`.
    """

    def __init__(
        self, network: nn.Module, optimizer: Optimizer, table: ParamTable, mesh: Mesh
    ) -> None:
        self.optimizer, self.table, self.mesh = optimizer, table, mesh
        self.named = dict(network.named_parameters())

    def state(self) -> State:
        found: State = {}
        for name, parameter in self.named.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                found[f"{key}/{name}"] = self._entry(name, parameter, key, value)
        for at, group in enumerate(self.optimizer.param_groups):
            for key in group.keys() - self.optimizer.defaults.keys() - {"params"}:
                found[f"group/{at}/{key}"] = group[key]
        return found

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        rooms = {}
        for entry, tensor in saved.items():
            name = entry.partition("/")[2]
            parameter = self.named.get(name)
            if parameter is None:
                raise HydratronError(f"checkpoint: {entry}: there is no such parameter")
            dim = self.table[name].shard_dim
            whole = full_shape(parameter.shape, dim, self.mesh.tensor)
            if list(tensor.shape) == whole and tensor.shape:
                rooms[entry] = view(torch.zeros_like(parameter), dim, self.mesh)
            else:
                # Optimizers keep counts where they were made, a fused one beside the parameter.
                rooms[entry] = torch.zeros(
                    tensor.shape, dtype=tensor.dtype, device=parameter.device
                )
        return rooms

    def load(self, state: State) -> None:
        self.optimizer.state.clear()
        for entry, value in state.items():
            key, _, name = entry.partition("/")
            if key == "group":
                at, _, option = name.partition("/")
                self.optimizer.param_groups[int(at)][option] = value
            else:
                local = value.to_local() if isinstance(value, DTensor) else value
                self.optimizer.state[self.named[name]][key] = local

    def _entry(self, name: str, parameter: Tensor, key: str, value: Any) -> Any:
        dim = self.table[name].shard_dim
        if not isinstance(value, Tensor):
            return value
        if value.shape == parameter.shape and value.shape:
            return view(value, dim, self.mesh)
        if value.dim() and dim is not None and self.mesh.tensor.size > 1:
            kind = type(self.optimizer).__name__
            raise HydratronError(
                f"checkpoint: {kind} keeps {key} of another shape than {name}, which is split"
            )
        return value


class StreamState:
    """The random streams by whose they are: `default/dp0`, `tensor_parallel/dp0_tp1`.

    The ranks of a replica share the default stream, also those that a new degree adds; a stream
    that was not saved stays as it was seeded.
    """

    def __init__(self, streams: RandomStreams, mesh: Mesh) -> None:
        self.streams = streams
        replica = f"dp{mesh.data.rank}"
        self.places = {"default": replica, "tensor_parallel": f"{replica}_tp{mesh.tensor.rank}"}

    def state(self) -> State:
        states = self.streams.state()
        return {f"{name}/{self.places[name]}": state for name, state in states.items()}

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        return {name: state for name, state in self.state().items() if name in saved}

    def load(self, state: State) -> None:
        self.streams.load_state({name.partition("/")[0]: value for name, value in state.items()})


class HasState(Protocol):
    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class Stateful:
    """Anything with `state_dict` and `load_state_dict`: callbacks, schedulers, objects of users.

    Tensors anywhere in its dictionaries and lists are saved as tensors, and the rest as JSON.
    """

    def __init__(self, wrapped: HasState) -> None:
        self.wrapped = wrapped

    def state(self) -> State:
        content = self.wrapped.state_dict()
        tensors = {"/".join(map(str, path)): leaf for path, leaf in _tensors(content, ())}
        return {"content": _without(content), **tensors}

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        return {name: torch.empty(t.shape, dtype=t.dtype) for name, t in saved.items()}

    def load(self, state: State) -> None:
        content = state.pop("content")
        for path, tensor in state.items():
            *parents, last = path.split("/")
            place = content
            for step in parents:
                place = place[int(step) if isinstance(place, list) else step]
            place[int(last) if isinstance(place, list) else last] = tensor
        self.wrapped.load_state_dict(content)


def _tensors(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from _tensors(inner, (*path, key))


def _without(value: Any) -> Any:
    """The same with None in the place of every tensor."""
    if isinstance(value, Tensor):
        return None
    if isinstance(value, dict):
        return {key: _without(inner) for key, inner in value.items()}
    return [_without(inner) for inner in value] if isinstance(value, list) else value
