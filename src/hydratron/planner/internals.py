"""What the planner takes from torch that torch does not promise; tried with 2.11 and 2.13.

Tensors without data, collectives that send nothing, every call below autograd, what autograd is at,
and the identity of a storage have no public name.  `tests/unit/planner/test_internals.py` says
which of them a new torch has changed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["FakeStore", "FakeTensor", "FakeTensorMode", "TorchDispatchMode", "tensors"]

# What a GPU's fused attention does, as an operation that tensors on no GPU have too.
FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward

ASKS_DEVICE = torch.ops.prim.device.default


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
