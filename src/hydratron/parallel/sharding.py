"""The table that says, by name, how every parameter is split, drawn and decayed.

Attributes on parameters get lost (`to_empty`, pickling, wrapping); names do not.  Initial weights,
the gradient norm, the optimizer's groups and the checkpoint all read this one table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hydratron.parallel.mesh import ENDS, TENSOR, Mesh, ParallelGroup


@dataclass(frozen=True)
class ParamSpec:
    """What holds for all parameters whose whole name matches the regular expression `pattern`.

    shard_dim: the dimension that is split over the tensor-parallel ranks; None: whole on each.
    mean, std: the initial values are N(mean, std^2); std 0 is the constant `mean`.
    decayed:   whether weight decay applies.
    vocab:     whether the rows are tokens, so that rows of padding come after the real ones.
    row_scales: factors on what is drawn for the rows, repeated down the matrix; () is 1 for all.
    summed:    the axes of whose ranks each holds a part of the gradient of a parameter that all of
               them hold; data is not named, since all parameters are summed up over it.
    between:   whether it works on what flows between the blocks of a region, of which sequence
               parallelism gives each tensor-parallel rank its own tokens.
    tied:      whether it works both before the first layer and after the last one, so that the
               first and the last stage of a pipeline hold it.
    """

    pattern: str
    shard_dim: int | None = None
    mean: float = 0.0
    std: float = 0.0
    decayed: bool = False
    vocab: bool = False
    row_scales: tuple[float, ...] = ()
    summed: tuple[str, ...] = ()
    between: bool = False
    tied: bool = False


class ParamTable:
    """The specs of one model; every parameter must match exactly one of them."""

    def __init__(self, *specs: ParamSpec) -> None:
        self.specs = specs
        self._known: dict[str, ParamSpec] = {}  # every step asks for every name

    def __getitem__(self, name: str) -> ParamSpec:
        if name not in self._known:
            found = [spec for spec in self.specs if re.fullmatch(spec.pattern, name)]
            if len(found) != 1:
                raise KeyError(f"{name} matches {len(found)} rows of the parameter table, not one")
            self._known[name] = found[0]
        return self._known[name]

    def in_sequence(self) -> ParamTable:
        """The table of a network whose tensor-parallel ranks share the tokens between the blocks.

        Each has the gradient of its own tokens there (Korthikanti et al. 2022, section 4.2.2).
        """
        return ParamTable(
            *(
                replace(spec, summed=(*spec.summed, TENSOR)) if spec.between else spec
                for spec in self.specs
            )
        )

    def in_stages(self) -> ParamTable:
        """The table of a network whose layers are divided among the stages of a pipeline.

        The first and the last each have a part of the gradient of what both hold.
        """
        return ParamTable(
            *(
                replace(spec, summed=(*spec.summed, ENDS)) if spec.tied else spec
                for spec in self.specs
            )
        )


def share(size: int, ranks: int, what: str) -> int:
    """The part of `size` that one of `ranks` ranks holds."""
    if size % ranks:
        raise ValueError(f"{what} {size} does not divide by {ranks} tensor-parallel ranks")
    return size // ranks


def shard(full: Tensor, dim: int | None, group: ParallelGroup) -> Tensor:
    """This rank's part of a whole tensor: a contiguous slice along `dim`, or all of it."""
    if dim is None or group.size == 1:
        return full
    width = share(full.shape[dim], group.size, f"dimension {dim}")
    return full.narrow(dim, width * group.rank, width)


def full_shape(local: torch.Size, dim: int | None, group: ParallelGroup) -> list[int]:
    """The shape of the whole tensor of which `local` is the shape of one rank's part."""
    return [n * group.size if i == dim else n for i, n in enumerate(local)]


def stage_layers(num_layers: int, stages: ParallelGroup) -> range:
    """The numbers of the layers of this rank's stage: as many as every other's."""
    if num_layers % stages.size:
        raise ValueError(f"{num_layers} layers do not divide by {stages.size} stages")
    each = num_layers // stages.size
    return range(each * stages.rank, each * (stages.rank + 1))


def parameter_count(parameters: Mapping[str, Tensor], table: ParamTable, mesh: Mesh) -> int:
    """Elements of the whole layers that this rank's stage has, of which it holds parts by name.

    What the first and the last stage both hold counts at the first, so that the counts of all
    stages add up to the model's.
    """
    return sum(
        math.prod(full_shape(part.shape, table[name].shard_dim, mesh.tensor))
        for name, part in parameters.items()
        if not (table[name].tied and mesh[ENDS].rank)
    )
