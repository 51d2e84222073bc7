"""`trainer.compile=true`: torch.compile over each transformer layer, with its collectives outside.

All layers share one code object, so that one is compiled, whatever the depth (as torchtitan does).
Between tensor-parallel ranks the linears of a region and its collectives stay as they are: what
they wait for is a peer, and shared memory is nothing that a compiler could look into.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hydratron.models.language import LanguageModel
from hydratron.parallel.layers import ColumnParallelLinear, RowParallelLinear
from hydratron.parallel.regions import Region


class NotCompiled:
    """A region whose work the compiler leaves alone."""

    def __init__(self, region: Region) -> None:
        self.group = region.group
        self._enter = torch.compiler.disable(region.enter)
        self._linear = torch.compiler.disable(region.linear)
        self._leave = torch.compiler.disable(region.leave)
        self.split, self.join = region.split, region.join

    def enter(self, x: Tensor) -> Tensor:
        found: Tensor = self._enter(x)
        return found

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        found: Tensor = self._linear(x, weight, bias)
        return found

    def leave(self, x: Tensor) -> Tensor:
        found: Tensor = self._leave(x)
        return found


def compile_layers(network: LanguageModel, backend: str = "inductor") -> None:
    """Have the layers compiled when they are first called; parameters and their names stay."""
    for layer in network.layers.values():
        assert isinstance(layer, nn.Module)
        for part in layer.modules():
            if isinstance(part, ColumnParallelLinear | RowParallelLinear):
                region: Region = part.region
                if region.group.size > 1:
                    part.region = NotCompiled(region)
        layer.compile(backend=backend)
