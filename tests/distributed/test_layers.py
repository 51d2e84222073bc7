"""Each parallel layer against its dense twin: output, input gradient and parameter gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.parallel.layers import (
    ColumnParallelLinear,
    RowParallelLinear,
    VocabParallelEmbedding,
)
from hydratron.parallel.mesh import ParallelGroup, build_mesh
from hydratron.parallel.regions import TensorParallelRegion
from hydratron.parallel.sharding import shard
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import unshard

INPUTS, OUTPUTS, VOCAB = 8, 12, 16

Gradients = dict[str, Tensor]


def values(name: str, *shape: int) -> Tensor:
    """Fixed random numbers, the same on every rank."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(name)))


def results(y: Tensor, x: Tensor, module: nn.Module) -> Gradients:
    (y * torch.cos(torch.arange(float(y.numel())).view_as(y))).sum().backward()
    grads = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return {"output": y.detach(), **({"input": x.grad} if x.grad is not None else {}), **grads}


def fill(module: nn.Module, dims: dict[str, int | None], group: ParallelGroup) -> None:
    for name, parameter in module.named_parameters():
        dim = dims[name]
        whole = [n * group.size if i == dim else n for i, n in enumerate(parameter.shape)]
        parameter.data = shard(values(name, *whole), dim, group).clone()


def column(rank: int, world_size: int) -> Gradients:
    group = build_mesh({"tensor": world_size}, "cpu").tensor
    layer = ColumnParallelLinear(INPUTS, OUTPUTS, TensorParallelRegion(group))
    fill(layer, {"weight": 0, "bias": 0}, group)
    x = values("input", 2, 3, INPUTS).requires_grad_()
    y = layer(x)
    upstream = torch.cos(torch.arange(2.0 * 3 * OUTPUTS).view(2, 3, OUTPUTS))
    (y * shard(upstream, 2, group)).sum().backward()
    assert x.grad is not None
    return {"output": y.detach(), "input": x.grad} | {
        name: p.grad for name, p in layer.named_parameters() if p.grad is not None
    }


def row(rank: int, world_size: int) -> Gradients:
    group = build_mesh({"tensor": world_size}, "cpu").tensor
    layer = RowParallelLinear(INPUTS, OUTPUTS, TensorParallelRegion(group))
    fill(layer, {"weight": 1, "bias": None}, group)
    x = shard(values("input", 2, 3, INPUTS), 2, group).clone().requires_grad_()
    return results(layer(x), x, layer)


def dense() -> Gradients:
    layer = nn.Linear(INPUTS, OUTPUTS)
    fill(layer, {"weight": None, "bias": None}, ParallelGroup())
    x = values("input", 2, 3, INPUTS).requires_grad_()
    return results(layer(x), x, layer)


def assert_equal(parts: list[Gradients], expected: Gradients, dims: dict[str, int | None]) -> None:
    for name, dim in dims.items():
        tensors = [part[name] for part in parts]
        for tensor in tensors if dim is None else [unshard(tensors, dim)]:
            torch.testing.assert_close(tensor, expected[name])


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_column_parallel_equals_linear(world_size: int) -> None:
    parts = run_ranks(column, world_size)
    assert_equal(parts, dense(), {"output": 2, "input": None, "weight": 0, "bias": 0})


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_row_parallel_equals_linear(world_size: int) -> None:
    dims: dict[str, int | None] = {"output": None, "input": 2, "weight": 1, "bias": None}
    assert_equal(run_ranks(row, world_size), dense(), dims)


def embedding(rank: int, world_size: int) -> Gradients:
    group = build_mesh({"tensor": world_size}, "cpu").tensor
    layer = VocabParallelEmbedding(VOCAB, INPUTS, group)
    fill(layer, {"weight": 0}, group)
    tokens = torch.tensor([[0, 5, 15], [7, 8, 5]])
    return results(layer(tokens), torch.zeros(()), layer)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_vocab_parallel_embedding_equals_embedding(world_size: int) -> None:
    table = values("weight", VOCAB, INPUTS).requires_grad_()
    y = F.embedding(torch.tensor([[0, 5, 15], [7, 8, 5]]), table)
    (y * torch.cos(torch.arange(float(y.numel())).view_as(y))).sum().backward()
    assert table.grad is not None
    parts = run_ranks(embedding, world_size)
    assert_equal(parts, {"output": y, "weight": table.grad}, {"output": None, "weight": 0})


def half_precision_gradients(rank: int, world_size: int) -> set[torch.dtype]:
    """The types that all-reduces carry in backward when the input of f is fp32 under autocast."""
    seen: set[torch.dtype] = set()

    class Spy(ParallelGroup):
        def all_reduce(self, tensor: Tensor, *args: Any) -> Tensor:
            seen.add(tensor.dtype)
            return super().all_reduce(tensor, *args)

    group = build_mesh({"tensor": world_size}, "cpu").tensor
    spy = Spy(group.rank, group.size, group.handle)
    layer = ColumnParallelLinear(INPUTS, OUTPUTS, TensorParallelRegion(spy))
    fill(layer, {"weight": 0, "bias": 0}, group)
    x = values("input", 2, 3, INPUTS).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    y.float().sum().backward()
    return seen


def test_under_autocast_the_backward_all_reduce_carries_the_compute_type() -> None:
    assert run_ranks(half_precision_gradients, 2) == [{torch.bfloat16}] * 2


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="out_features 6 does not divide by 4"):
        ColumnParallelLinear(4, 6, TensorParallelRegion(ParallelGroup(0, 4)))
    with pytest.raises(ValueError, match="in_features 6 does not divide by 4"):
        RowParallelLinear(6, 4, TensorParallelRegion(ParallelGroup(0, 4)))
