"""ZeRO-1: each replica updates its own rows of every parameter (Rajbhandari et al. 2020).

arXiv:1910.02054, section 5.1.  An optimizer that treats each element by itself does to a slice of
rows what it does to them in the whole, so that the parameters are, bit by bit, those of replicas
that update all of them; only its state is split.  Gradients are reduced, measured and clipped whole
before, and the new rows are gathered after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.parallel.gradients import BUCKET_BYTES
from hydratron.parallel.mesh import ParallelGroup


def own_rows(rows: int, group: ParallelGroup) -> tuple[int, int]:
    """The first of a rank's rows, and the one behind its last, as torch.chunk cuts them.

    All have as many but the last ones, which have what is left or none.
    """
    width = -(-rows // group.size)
    return min(group.rank * width, rows), min((group.rank + 1) * width, rows)


class OwnRows:
    """This rank's rows of `parameters` (name -> [n, ...]), as parameters for an optimizer.

    They share the memory of the whole ones.  `parts` has those that are not empty, by name.
    """

    @classmethod
    def of(cls, network: nn.Module, group: ParallelGroup, wanted: bool) -> OwnRows | None:
        """Those of a network's parameters; None where nothing is to be split."""
        return cls(dict(network.named_parameters()), group) if wanted and group.size > 1 else None

    def __init__(self, parameters: Mapping[str, nn.Parameter], group: ParallelGroup) -> None:
        self.parameters, self.group = dict(parameters), group
        self.places = {n: own_rows(len(p), group) for n, p in self.parameters.items()}
        self.parts = {
            name: nn.Parameter(self.parameters[name].detach()[first:end])
            for name, (first, end) in self.places.items()
            if first < end
        }

    def update(self, step: Callable[[], Any]) -> None:
        """Give the rows their gradients, let the optimizer `step`, and gather all rows."""
        for name, part in self.parts.items():
            whole = self.parameters[name].grad
            first, end = self.places[name]
            part.grad = None if whole is None else whole[first:end]
        step()
        for part in self.parts.values():
            part.grad = None  # it would keep the whole gradient in memory
        self.gather()

    @torch.no_grad()
    def gather(self) -> None:
        """Copy every replica's rows into the whole parameters, bucket by bucket."""
        if self.group.size == 1:
            return
        bucket: list[str] = []
        size = 0
        for name, parameter in self.parameters.items():
            nbytes = parameter.numel() * parameter.element_size()
            if bucket and size + nbytes > BUCKET_BYTES:
                self._gather(bucket)
                bucket, size = [], 0
            bucket.append(name)
            size += nbytes
        self._gather(bucket)

    def _gather(self, names: list[str]) -> None:
        """All in one: every rank gives as many rows, the last ones filled up."""
        shares = [self._share(name) for name in names]
        flat = torch.cat([self._padded(n, size) for n, size in zip(names, shares, strict=True)])
        gathered = self.group.all_gather_stacked(flat).split(shares, dim=1)
        for name, parts in zip(names, gathered, strict=True):
            parameter = self.parameters[name]
            # Behind the last row stands what fills up, nowhere else.
            parameter.copy_(parts.reshape(-1)[: parameter.numel()].view_as(parameter))

    def _share(self, name: str) -> int:
        """Elements that each rank gives."""
        parameter = self.parameters[name]
        return -(-len(parameter) // self.group.size) * parameter[0].numel()

    def _padded(self, name: str, size: int) -> Tensor:
        first, end = self.places[name]
        own = self.parameters[name][first:end].reshape(-1)
        return F.pad(own, (0, size - own.numel()))
