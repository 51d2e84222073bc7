"""What one training step does below autograd: collectives, arithmetic, memory traffic, memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch

from hydratron.parallel.mesh import ENDS, Mesh
from hydratron.planner.internals import (
    ASKS_DEVICE,
    FakeTensor,
    TorchDispatchMode,
    in_backward,
    tensors,
)
from hydratron.planner.kernels import flops
from hydratron.planner.memory import MemoryTrace
from hydratron.planner.modules import ModuleNames

FORWARD, RECOMPUTE, BACKWARD, UPDATE = "forward", "recompute", "backward", "update"
STAGES = "stages"
PHASES = (FORWARD, RECOMPUTE, BACKWARD, STAGES, UPDATE)
"""Update is what lies between a backward and the next forward: gradients, norm, optimizer; stages
is what goes from stage to stage of a pipeline, forward or back."""
BETWEEN_STAGES = ("send", "recv_")


@dataclass(frozen=True)
class Collective:
    """One call; `group` is an axis of the mesh, `bytes` what each rank gives."""

    phase: str
    module: str
    operation: str
    group: str
    size: int
    bytes: int


@dataclass(frozen=True)
class Kernel:
    """One call of an operation that reads or writes memory; `bytes` read and written."""

    phase: str
    module: str
    operation: str
    flops: int
    bytes: int


class Recorder(TorchDispatchMode):
    """Records while it is active; `step` is set by whoever runs the steps.

    The list of collectives is in the order of the calls, by step; kernels are counted.
    """

    def __init__(self, modules: ModuleNames, memory: MemoryTrace | None = None) -> None:
        super().__init__()
        self.modules, self.memory = modules, memory
        self.collectives: list[Collective] = []
        self.kernels: Counter[Kernel] = Counter()
        self._between = True
        self._groups: dict[str, tuple[str, int]] = {}

    def groups(self, mesh: Mesh) -> None:
        """Name the groups of this mesh; calls of any other group are the world's."""
        for axis, group in mesh.axes.items():
            if group.handle is not None:
                self._groups[group.handle.group_name] = axis, group.size
        if mesh.ends.handle is not None:  # Of two stages they are the whole axis.
            self._groups.setdefault(mesh.ends.handle.group_name, (ENDS, mesh.ends.size))

    @property
    def phase(self) -> str:
        """By what is running: a module's forward, autograd, or neither of them after autograd."""
        backward = in_backward()
        if self.modules.inside:
            return RECOMPUTE if backward else FORWARD
        if backward:
            return BACKWARD
        return UPDATE if self._between else FORWARD

    def clear(self) -> None:
        """Forget calls, as before another step; memory is kept, since it lives on."""
        self.collectives.clear()
        self.kernels.clear()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if function is ASKS_DEVICE and isinstance(args[0], FakeTensor):
            # Half of all calls, and nothing happens in them.
            return args[0].fake_device
        phase, module = self.phase, self.modules.current
        if function.namespace == "c10d" and function.overloadpacket.__name__ in BETWEEN_STAGES:
            phase = STAGES
        else:
            self._between = phase in (BACKWARD, UPDATE)
        if self.memory is not None:
            self.memory.moment = (phase, module)
        result = function(*args, **(kwargs or {}))
        if function.namespace == "c10d":
            self._collective(phase, module, function, args)
        elif function.namespace == "aten" and not _is_view(function):
            self._kernel(phase, module, function, args, kwargs or {}, result)
        if self.memory is not None:
            for tensor in tensors(result):
                self.memory.see(tensor)
        return result

    def _collective(self, phase: str, module: str, function: Any, args: tuple[Any, ...]) -> None:
        handle = next(a for a in args if isinstance(a, torch.ScriptObject) and _is_group(a))
        name = torch.distributed.ProcessGroup.unbox(handle).group_name
        axis, size = self._groups.get(name, ("world", 0))
        # Inputs come last where a collective has outputs of its own.
        given = args[1] if tensors(args[1]) else args[0]
        nbytes = sum(t.numel() * t.element_size() for t in tensors(given))
        # `_allgather_base_` is the one of tensors without lists.
        operation = function.overloadpacket.__name__.strip("_").removesuffix("_base")
        self.collectives.append(Collective(phase, module, operation, axis, size, nbytes))

    def _kernel(
        self, phase: str, module: str, function: Any, args: Any, kwargs: Any, result: Any
    ) -> None:
        moved = {id(t): t.numel() * t.element_size() for t in tensors((args, kwargs, result))}
        operation = function.overloadpacket.__name__
        work = flops(function, args, kwargs, result)
        self.kernels[Kernel(phase, module, operation, work, sum(moved.values()))] += 1


def _is_group(value: Any) -> bool:
    return "ProcessGroup" in str(value._type())


def _is_view(function: Any) -> bool:
    returns = function._schema.returns
    return bool(returns) and all(r.alias_info and not r.alias_info.is_write for r in returns)
