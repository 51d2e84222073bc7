"""A third axis of the mesh: what is summed over it, and on what all of its ranks agree."""

from __future__ import annotations

import math
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from hydratron.parallel.mesh import Mesh, build_mesh
from hydratron.parallel.sharding import ParamSpec, ParamTable
from hydratron.tasks.causal import Causal
from hydratron.training.step import Step, StepResult
from tests.helpers.ranks import run_ranks

EXPERTS = {"expert": 2, "data": 1, "tensor": 2}
STAGES = {"pipeline": 2, "data": 1, "tensor": 1}
REPLICAS = {"data": 2, "tensor": 2}
NAN = math.nan


class Toy(nn.Module):
    """`shared` by all ranks, `split` over the tensor axis, `own` to a rank of the outer axis."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Parameter(torch.ones(2))
        self.split = nn.Parameter(torch.ones(2))
        self.own = nn.Parameter(torch.ones(2))


def toy(mesh: Mesh, outer: str) -> tuple[Toy, Step]:
    """With gradients: outer rank + 1 and, where it is split, 10 for each tensor rank more."""
    network = Toy()
    summed = () if outer == "data" else (outer,)
    table = ParamTable(
        ParamSpec("shared", summed=summed),
        ParamSpec("split", shard_dim=0, summed=summed),
        ParamSpec("own"),
    )
    for name, parameter in network.named_parameters():
        value = mesh[outer].rank + 1.0 + (10 * mesh.tensor.rank if name == "split" else 0)
        parameter.grad = torch.full((2,), value)
    return network, Step(network, table, Causal(), mesh, 0.0, nullcontext)


def finished(rank: int, world_size: int, sizes: dict[str, int]) -> tuple[Any, StepResult]:
    mesh = build_mesh(sizes, "cpu")
    outer = next(iter(sizes))
    network, step = toy(mesh, outer)
    result = step.finish(torch.tensor([1.0 + mesh[outer].rank]), lambda: None, bool)
    return {n: p.grad for n, p in network.named_parameters()}, result


@pytest.mark.parametrize("sizes", [EXPERTS, STAGES, REPLICAS], ids=str)
def test_what_its_ranks_hold_parts_of_is_summed_and_counted_once(sizes: dict[str, int]) -> None:
    found = run_ranks(finished, math.prod(sizes.values()), sizes)
    tensor, outer = sizes["tensor"], next(iter(sizes))
    own = {0: 1.0, 1: 2.0} if outer != "data" else {0: 3.0, 1: 3.0}
    for rank, (gradients, _) in enumerate(found):
        assert gradients["shared"].tolist() == [3.0] * 2
        assert gradients["split"].tolist() == [3.0 + 20 * (rank % tensor)] * 2
        assert gradients["own"].tolist() == [own[rank // tensor]] * 2
    # The whole gradient holds each value once; replicas hold the same one.
    values = [3.0, *(3.0 + 20 * t for t in range(tensor)), *set(own.values())]
    norm = math.sqrt(sum(2 * value**2 for value in values))
    assert [result.grad_norm for _, result in found] == pytest.approx([norm] * len(found))
    assert [result.losses for _, result in found] == [(3.0,)] * len(found)


def faulty(
    rank: int, world_size: int, sizes: dict[str, int]
) -> dict[tuple[str, int], tuple[str | None, bool, bool]]:
    """By fault and the rank that has it: what broke, whether to stop, and whether it updated."""
    mesh = build_mesh(sizes, "cpu")
    seen = {}
    for fault in ("none", "loss", "shared", "split", "own", "stop"):
        for at in range(world_size):
            network, step = toy(mesh, next(iter(sizes)))
            here = rank == at
            updates: list[int] = []
            if here and fault in dict(network.named_parameters()):
                network.get_parameter(fault).grad = torch.tensor([1.0, NAN])
            loss = torch.tensor([NAN if here and fault == "loss" else 1.0])
            stop = partial(bool, here and fault == "stop")
            result = step.finish(loss, partial(updates.append, 1), stop)
            seen[fault, at] = (result.broken, result.stop, bool(updates))
    return seen


@pytest.mark.parametrize("sizes", [EXPERTS, STAGES, REPLICAS], ids=str)
def test_all_ranks_agree_on_what_one_of_them_saw(sizes: dict[str, int]) -> None:
    first, *others = run_ranks(faulty, math.prod(sizes.values()), sizes)
    for other in others:
        assert other == first
    for (fault, rank), (broken, stop, updated) in first.items():
        what = {"none": None, "stop": None, "loss": "the loss is nan"}
        assert broken == what.get(fault, "the gradient norm is nan"), (fault, rank)
        assert stop == (fault == "stop"), rank
        assert updated == (broken is None), (fault, rank)
