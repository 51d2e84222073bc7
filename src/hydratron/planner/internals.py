"""What the planner takes from torch that torch does not promise; tried with 2.11 and 2.13.

Tensors without data, collectives that send nothing, every call below autograd, what autograd is at,
the identity of a storage and what a stage of a pipeline keeps have no public name.
`tests/unit/planner/test_internals.py` says which of them a new torch has changed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.distributed.pipelining import PipelineStage
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["FakeStore", "FakeTensor", "FakeTensorMode", "TorchDispatchMode", "tensors"]

# What a GPU's fused attention does, as an operation that tensors on no GPU have too.
FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward

ASKS_DEVICE = torch.ops.prim.device.default


class ToldStage(PipelineStage):
    """A stage that believes what it is told of shapes without asking the others, whose answers are
    tensors without data."""

    def _warmup_forward_vote(self, has_backward: bool, received_acc: Tensor | None = None) -> Any:
        return None

    def _warmup_backward_result(self, received_result: Tensor | None = None) -> Any:
        return _Agreed()


class _Agreed:
    def item(self) -> int:
        return 1


def kept_by(stage: PipelineStage) -> list[Tensor]:
    """What a stage receives into, and keeps from step to step."""
    infos = [*stage.args_recv_info.values(), *stage.grad_recv_info.values()]
    return [info.buffer for each in infos for info in each if info.buffer is not None]


def tensors(values: Any) -> list[Tensor]:
    """All tensors in nested lists, tuples and dictionaries."""
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def backward_node() -> Any:
    """The node of autograd's graph whose gradient is being computed, or None."""
    return torch._C._current_autograd_node()


def in_backward() -> bool:
    """Whether autograd is running in this thread."""
    return torch._C._current_graph_task_id() != -1


def storage_of(tensor: Tensor) -> int:
    """A number that tensors share while they share a living storage."""
    return tensor.untyped_storage()._cdata
