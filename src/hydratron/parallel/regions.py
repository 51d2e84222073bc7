"""What happens where a tensor-parallel block begins and ends.

A layer is handed a region and calls it; a new way of splitting what lies between the blocks is a
new region and changes no layer and no model.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from hydratron.parallel.mappings import (
    copy_to_tensor_model_parallel_region,
    reduce_from_tensor_model_parallel_region,
)
from hydratron.parallel.mesh import SINGLE, ParallelGroup


class Region(Protocol):
    """The blocks that the ranks of `group` compute together; x is [b, s, ...].

    enter:  what flows between the blocks -> what all ranks of the block need, [b, s, ...].
    linear: a column-parallel linear of what flows between the blocks, enter(x) W^T + bias.
    leave:  a partial sum of this rank -> what flows between the blocks.
    split:  a whole x, equal on all ranks -> what flows between the blocks.
    join:   what flows between the blocks -> a whole x, for what all ranks compute alike.
    """

    @property
    def group(self) -> ParallelGroup: ...

    def enter(self, x: Tensor) -> Tensor: ...

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor: ...

    def leave(self, x: Tensor) -> Tensor: ...

    def split(self, x: Tensor) -> Tensor: ...

    def join(self, x: Tensor) -> Tensor: ...


class TensorParallelRegion:
    """f and g (paper, Figure 3): between the blocks every rank holds the whole x."""

    def __init__(self, group: ParallelGroup) -> None:
        self.group = group

    def enter(self, x: Tensor) -> Tensor:
        """f, after the cast to the compute type, which its backward all-reduce then carries."""
        return copy_to_tensor_model_parallel_region(to_compute_type(x), self.group)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.linear(self.enter(x), weight, bias)

    def leave(self, x: Tensor) -> Tensor:
        """g."""
        return reduce_from_tensor_model_parallel_region(x, self.group)

    def split(self, x: Tensor) -> Tensor:
        return x

    def join(self, x: Tensor) -> Tensor:
        return x


ALONE = TensorParallelRegion(SINGLE)


def to_compute_type(x: Tensor) -> Tensor:
    """Cast to the autocast type, if there is one.

    LayerNorm gives fp32 under autocast; an f placed before the cast would send twice the bytes.
    """
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        return x.to(torch.get_autocast_dtype(kind))
    return x
