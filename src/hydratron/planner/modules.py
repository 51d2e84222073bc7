"""Which module of a network an operation belongs to: in forward, in backward, when recomputed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

from hydratron.planner.internals import backward_node, tensors

_LABEL = "hydratron_module"


class ModuleNames:
    """Knows the module at work while `watching` a network; "" is the network itself.

    The nodes of autograd's graph are labelled as forward makes them, so that in backward the node
    at work says whose gradient it is.
    """

    def __init__(self) -> None:
        self._open: list[tuple[str, set[Any]]] = []

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        with ExitStack() as handles:
            for name, module in network.named_modules():
                before = module.register_forward_pre_hook(partial(self._enter, name), prepend=True)
                # Also after an exception: recomputation ends with one as soon as it has enough.
                after = module.register_forward_hook(self._leave, always_call=True)
                handles.callback(before.remove)
                handles.callback(after.remove)
            yield

    @property
    def inside(self) -> bool:
        """Whether some module's forward is running."""
        return bool(self._open)

    @property
    def current(self) -> str:
        if self._open:
            return self._open[-1][0]
        node = backward_node()
        return "" if node is None else str(node.metadata.get(_LABEL, ""))

    def _enter(self, name: str, module: nn.Module, inputs: Any) -> None:
        self._open.append((name, _nodes(inputs)))

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        name, before = self._open.pop()
        seen, pending = set(before), _nodes(output) - before
        while pending:
            node = pending.pop()
            seen.add(node)
            # Inner modules have labelled theirs; what lies between two of them is this one's.
            node.metadata.setdefault(_LABEL, name)
            sources = {source for source, _ in node.next_functions if source is not None}
            pending |= sources - seen


def _nodes(values: Any) -> set[Any]:
    found = (tensor.grad_fn for tensor in tensors(values))
    return {node for node in found if node is not None}
