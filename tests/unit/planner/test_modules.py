"""To which module and phase an operation belongs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hydratron.planner.modules import ModuleNames
from hydratron.planner.recorder import BACKWARD, FORWARD, RECOMPUTE, UPDATE, Recorder


class Block(nn.Module):
    """3 x + B tanh(A x): operations of its own beside and between its two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4, bias=False)
        self.outer = nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * 3 + self.outer(self.inner(x).tanh())
        return y


class Network(nn.Module):
    def __init__(self, recompute: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.recompute = recompute

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.recompute else block(x)
        return x.sigmoid()


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("on purpose")


def recorded(network: nn.Module) -> Recorder:
    modules = ModuleNames()
    with Recorder(modules) as recorder, modules.watching(network):
        network(torch.ones(2, 4, requires_grad=True)).sum().backward()
        torch.ones(1).neg()
    assert not modules.inside
    return recorder


def calls(recorder: Recorder, operation: str) -> dict[tuple[str, str], int]:
    return {
        (kernel.phase, kernel.module): times
        for kernel, times in recorder.kernels.items()
        if kernel.operation == operation
    }


def test_operations_belong_to_the_innermost_module() -> None:
    recorder = recorded(Network())
    assert calls(recorder, "mm") == {
        (phase, f"blocks.{number}.{layer}"): times
        for phase, times in ((FORWARD, 1), (BACKWARD, 2))
        for number in (0, 1)
        for layer in ("inner", "outer")
    }
    assert calls(recorder, "sigmoid_backward") == {(BACKWARD, ""): 1}


def test_a_residual_connection_belongs_to_its_block() -> None:
    assert calls(recorded(Network()), "mul") == {
        (FORWARD, "blocks.0"): 1,
        (FORWARD, "blocks.1"): 1,
        (BACKWARD, "blocks.0"): 1,
        (BACKWARD, "blocks.1"): 1,
    }


def test_what_lies_between_two_layers_belongs_to_neither() -> None:
    recorder = recorded(Network())
    assert calls(recorder, "tanh") == {(FORWARD, "blocks.0"): 1, (FORWARD, "blocks.1"): 1}
    assert calls(recorder, "tanh_backward") == {
        (BACKWARD, "blocks.0"): 1,
        (BACKWARD, "blocks.1"): 1,
    }


def test_recomputation_is_a_phase_of_its_own_and_may_end_early() -> None:
    recorder = recorded(Network(recompute=True))
    assert calls(recorder, "mul") == {
        (phase, f"blocks.{number}"): 1
        for phase in (FORWARD, RECOMPUTE, BACKWARD)
        for number in (0, 1)
    }
    products = calls(recorder, "mm")
    for number in (0, 1):
        assert products[RECOMPUTE, f"blocks.{number}.inner"] == 1
        assert products[BACKWARD, f"blocks.{number}.inner"] == 2
        # Torch ends it by an exception inside the second layer; all modules are left all the same.
        assert (RECOMPUTE, f"blocks.{number}.outer") not in products
    assert calls(recorder, "neg") == {(UPDATE, ""): 1}


def test_a_module_that_raises_is_left() -> None:
    modules, network = ModuleNames(), nn.Sequential(nn.Linear(4, 4), Broken())
    with modules.watching(network), pytest.raises(RuntimeError, match="on purpose"):
        network(torch.ones(2, 4))
    assert not modules.inside
    assert modules.current == ""


def test_watching_ends() -> None:
    modules, network = ModuleNames(), Network()
    with modules.watching(network):
        pass
    seen: list[Any] = []
    network.blocks[0].register_forward_hook(lambda *_: seen.append(modules.inside))
    network(torch.ones(2, 4))
    assert seen == [False]


def test_between_a_backward_and_the_next_forward_lies_the_update() -> None:
    modules, network = ModuleNames(), Network()
    x = torch.ones(2, 4)
    with Recorder(modules) as recorder, modules.watching(network):
        assert recorder.phase == UPDATE
        loss = network(x).sum()
        assert recorder.phase == FORWARD
        loss.backward()
        assert recorder.phase == UPDATE
