"""Model, optimizer and random streams as participants of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard
from torch.optim import Optimizer

from hydratron.checkpoint.participant import Saved
from hydratron.errors import HydratronError
from hydratron.parallel.distributed_optimizer import OwnRows
from hydratron.parallel.mesh import DATA, TENSOR, Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamTable, full_shape


def view(tensor: Tensor, shard_dim: int | None, mesh: Mesh) -> DTensor:
    """A DTensor over this rank's part: it shares the memory and knows its place in the whole."""
    assert mesh.device_mesh is not None
    outer: list[Placement] = [Replicate()] * (mesh.device_mesh.ndim - 1)
    inner = Replicate() if shard_dim is None else Shard(shard_dim)
    return DTensor.from_local(tensor.detach(), mesh.device_mesh, [*outer, inner], run_check=False)


def held_elsewhere(network: nn.Module, mesh: Mesh) -> frozenset[str]:
    """What the other stages of the pipeline have and this one has not, by name; asks all ranks."""
    own, stages = frozenset(network.state_dict()), mesh.pipeline
    if stages.size == 1:
        return frozenset()
    everyones: list[Any] = [None] * stages.size
    dist.all_gather_object(everyones, sorted(own), group=stages.handle)
    return frozenset(name for names in everyones for name in names) - own


class Places:
    """Where a rank's parts of what belongs to a parameter stand in the whole.

    With `rows` each replica has its own rows of a tensor-parallel rank's part: the data axis is
    then the inner one, and where the parameter is split by rows too, it cuts those of one rank.
    """

    def __init__(self, table: ParamTable, mesh: Mesh, rows: OwnRows | None = None) -> None:
        self.table, self.mesh, self.rows = table, mesh, rows
        if rows is not None:
            assert mesh.device_mesh is not None
            groups = [mesh[axis].handle for axis in (TENSOR, DATA)]
            self.inner = DeviceMesh.from_group(
                groups,  # type: ignore[arg-type]
                mesh.device_mesh.device_type,
                mesh=mesh.device_mesh.mesh.t(),
                mesh_dim_names=(TENSOR, DATA),
            )

    def view(self, name: str, own: Tensor, parameter: Tensor) -> DTensor:
        """`own`: this rank's part of what belongs to `parameter`, which is this rank's as well."""
        dim = self.table[name].shard_dim
        if self.rows is None:
            return view(own, dim, self.mesh)
        shape = torch.Size(full_shape(parameter.shape, dim, self.mesh.tensor))
        outer = Replicate() if dim is None else Shard(dim)
        stride = torch.empty(shape, device="meta").stride()
        return DTensor.from_local(
            own.detach(), self.inner, [outer, Shard(0)], run_check=False, shape=shape, stride=stride
        )

    def own(self, name: str, parameter: Tensor) -> Tensor:
        """What of a parameter the optimizer of this rank has: all of it, or its rows."""
        if self.rows is None:
            return parameter
        first, end = self.rows.places[name]
        return parameter[first:end]


class ModelState:
    """Every parameter as a view, every buffer that the network keeps whole.

    Of a pipeline each stage has its own; what both ends have is the same, and is written once.
    """

    def __init__(self, network: nn.Module, table: ParamTable, mesh: Mesh) -> None:
        self.network, self.table, self.mesh = network, table, mesh
        self.elsewhere = held_elsewhere(network, mesh)

    def state(self) -> dict[str, Any]:
        split = {name: self.table[name].shard_dim for name, _ in self.network.named_parameters()}
        return {
            name: view(value, split[name], self.mesh) if name in split else value
            for name, value in self.network.state_dict().items()
        }

    def load(self, state: Mapping[str, Any]) -> None:
        extra = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
        self.network.load_state_dict(extra, strict=False)


class OptimizerState:
    """`exp_avg/NAME` and the like: what any torch optimizer keeps for parameter NAME.

    Hyperparameters are the configuration's; what else stands in the groups is saved.  The state
    of a split parameter has the parameter's own shape or is one number, so that other degrees
    can read it; before the first step most optimizers have none.  With `rows` the optimizer has
    those, and what is saved is the same.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        table: ParamTable,
        mesh: Mesh,
        rows: OwnRows | None = None,
    ) -> None:
        self.optimizer, self.places = optimizer, Places(table, mesh, rows)
        self.elsewhere = held_elsewhere(network, mesh)
        self.parameters = dict(network.named_parameters())
        # A replica that has no row of a parameter has no state of it.
        self.known = self.parameters if rows is None else rows.parts
        self.parted = {
            name: rows is not None or table[name].shard_dim is not None for name in self.parameters
        }
        self.kind = type(optimizer).__name__

    def state(self) -> dict[str, Any]:
        own = {"params", *self.optimizer.defaults}
        groups = [
            {key: value for key, value in group.items() if key not in own}
            for group in self.optimizer.param_groups
        ]
        state: dict[str, Any] = {"optimizer": self.kind, "groups": groups}
        if set(self.optimizer.state) - set(self.known.values()):
            raise HydratronError(f"{self.kind} keeps a state that belongs to no parameter")
        for name, known in self.known.items():
            for key, value in self.optimizer.state.get(known, {}).items():
                if isinstance(value, Tensor) and self._split(key, name, value.shape, known):
                    value = self.places.view(name, value, self.parameters[name])
                state[f"{key}/{name}"] = value
        return state

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        room: dict[str, Tensor] = {}
        for full_name, (shape, dtype) in saved.items():
            key, _, name = full_name.rpartition("/")
            if name in self.elsewhere:
                continue
            if name not in self.parameters:
                raise HydratronError(f"{self.kind}: {key} of {name}, which is not in this model")
            parameter = self.parameters[name]
            # An optimizer keeps what has the parameter's shape in its type, as torch would cast it.
            own = torch.zeros_like(self.places.own(name, parameter))
            if not dtype.is_floating_point:
                own = own.to(dtype)
            whole = self.places.view(name, own, parameter)
            split = self._split(key, name, shape, whole)
            room[full_name] = whole if split else torch.zeros(shape, dtype=dtype)
        return room

    def load(self, state: Mapping[str, Any]) -> None:
        groups, extras = self.optimizer.state_dict()["param_groups"], state["groups"]
        if (state["optimizer"], len(extras)) != (self.kind, len(groups)):
            raise HydratronError(
                f"the checkpoint has the state of {state['optimizer']} in {len(extras)} groups, "
                f"which {self.kind} in {len(groups)} groups does not take"
            )
        groups = [group | extra for group, extra in zip(groups, extras, strict=True)]
        ordered = (p for group in self.optimizer.param_groups for p in group["params"])
        numbers = {parameter: number for number, parameter in enumerate(ordered)}
        states: dict[int, dict[str, Any]] = {}
        for full_name, value in state.items():
            key, slash, name = full_name.rpartition("/")
            if slash and name in self.known:
                value = value.to_local() if isinstance(value, DTensor) else value
                states.setdefault(numbers[self.known[name]], {})[key] = value
        # torch knows which optimizers want their count of steps on the device.
        self.optimizer.load_state_dict({"state": states, "param_groups": groups})

    def _split(self, key: str, name: str, shape: torch.Size, parameter: Tensor) -> bool:
        """Whether this state is split as its parameter is; if not, it must be whole everywhere."""
        if shape == parameter.shape:
            return True
        if shape and self.parted[name]:
            raise HydratronError(
                f"{self.kind}: {key} of {name} has the shape {tuple(shape)}, not the parameter's "
                f"{tuple(parameter.shape)}, so that other parallel degrees could not read it"
            )
        return False


class StreamState:
    """Every rank saves and takes back its own; one that was not saved stays as it was seeded."""

    def __init__(self, streams: RandomStreams, mesh: Mesh) -> None:
        self.streams = streams
        # The ranks of a replica share the default stream, also those that a new degree adds; of
        # its stages each has another, the first one that of a network in one piece.
        stage = f"pp{mesh.pipeline.rank}_" if mesh.pipeline.rank else ""
        replica = f"{stage}dp{mesh.data.rank}"
        own = f"{replica}_tp{mesh.tensor.rank}"
        outside = own if streams.in_sequence else replica
        self.places = {"default": outside, "tensor_parallel": own}

    def state(self) -> dict[str, Any]:
        return {f"{name}/{self.places[name]}": s for name, s in self.streams.state().items()}

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        return {name: stream for name, stream in self.state().items() if name in saved}

    def load(self, state: Mapping[str, Any]) -> None:
        self.streams.load_state({name.split("/")[0]: stream for name, stream in state.items()})
