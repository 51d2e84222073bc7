"""Sequence parallelism as a region of one's own: no layer and no model knows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from hydratron.parallel.gradients import reduce_gradients
from hydratron.parallel.mesh import Mesh, ParallelGroup, build_mesh
from hydratron.parallel.regions import Region
from hydratron.parallel.sharding import ParamSpec, ParamTable
from tests.helpers.faults import relative_error
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import TABLE, tiny_batch, tiny_gpt, unshard, whole_norm
from tests.helpers.tiny_bert import BERT_TABLE, tiny_answers, tiny_bert, tiny_inputs

Move = Callable[[Tensor], Tensor]
TABLES = {"gpt": TABLE, "bert": BERT_TABLE}


class Moved(torch.autograd.Function):
    """One movement forward and its transpose backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Move, back: Move) -> Tensor:
        ctx.back = back
        return there(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.back(grad), None, None


class SequenceParallelRegion:
    """Between the blocks every rank holds its own s / t tokens, [b, s / t, ...].

    Korthikanti et al. 2022 (arXiv:2205.05198), section 4.2.2.
    """

    def __init__(self, group: ParallelGroup) -> None:
        self.group = group

    def _own(self, x: Tensor) -> Tensor:
        return x.chunk(self.group.size, dim=1)[self.group.rank].contiguous()

    def _gathered(self, x: Tensor) -> Tensor:
        return torch.cat(self.group.all_gather(x), dim=1)

    def _scattered(self, x: Tensor) -> Tensor:
        return self._own(self.group.all_reduce(x.clone(memory_format=torch.contiguous_format)))

    def enter(self, x: Tensor) -> Tensor:
        y: Tensor = Moved.apply(x, self._gathered, self._scattered)
        return y

    def leave(self, x: Tensor) -> Tensor:
        y: Tensor = Moved.apply(x, self._scattered, self._gathered)
        return y

    def split(self, x: Tensor) -> Tensor:
        y: Tensor = Moved.apply(x, self._own, self._gathered)
        return y

    def join(self, x: Tensor) -> Tensor:
        y: Tensor = Moved.apply(x, self._gathered, self._own)
        return y


# What works on a rank's own tokens; LayerNorms behind `join` work on all of them.
PARTIAL = (
    "layers.0.mlp.norm.weight", "layers.0.mlp.norm.bias", "layers.0.attention.sublayer.dense.bias",
)  # fmt: skip


def summed(table: ParamTable) -> ParamTable:
    partial = {table[name].pattern for name in PARTIAL}

    def of(spec: ParamSpec) -> ParamSpec:
        return replace(spec, summed=("tensor",)) if spec.pattern in partial else spec

    return ParamTable(*map(of, table.specs))


def step(
    mesh: Mesh, table: ParamTable, architecture: str, placement: str, region: Region | None = None
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Loss, gradients and their norm."""
    tiny: Any = tiny_bert if architecture == "bert" else tiny_gpt
    network = tiny(mesh.tensor, placement=placement, region=region)
    if architecture == "bert":
        losses = network.loss(**tiny_inputs(), **tiny_answers())
        loss = 0.3 * losses.mlm + 0.7 * losses.sop
    else:
        loss = network.loss(*tiny_batch())
    loss.backward()
    gradients = reduce_gradients(dict(network.named_parameters()), table, mesh)
    return loss.detach(), gradients, whole_norm(gradients, table, mesh)


def in_sequence(
    rank: int, world_size: int, architecture: str, placement: str, is_summed: bool = True
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    mesh = build_mesh({"data": 1, "tensor": world_size}, "cpu")
    table = TABLES[architecture]
    region = SequenceParallelRegion(mesh.tensor)
    return step(mesh, summed(table) if is_summed else table, architecture, placement, region)


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("architecture", TABLES)
def test_a_region_of_ones_own_is_the_same_model(architecture: str, placement: str) -> None:
    table = TABLES[architecture]
    loss, expected, norm = step(Mesh(), table, architecture, placement)
    parts = run_ranks(in_sequence, 2, architecture, placement)
    for found, gradients, found_norm in parts:
        torch.testing.assert_close(found, loss, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found_norm, norm, rtol=1e-5, atol=1e-5)
        assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        dim = table[name].shard_dim
        copies = [gradients[name] for _, gradients, _ in parts]
        for whole in copies if dim is None else [unshard(copies, dim)]:
            assert (whole - gradient).norm() <= 1e-5 * gradient.norm(), name


def test_gradients_that_are_not_summed_are_those_of_own_tokens_alone() -> None:
    _, expected, _ = step(Mesh(), TABLE, "gpt", "pre")
    (_, gradients, _), _ = run_ranks(in_sequence, 2, "gpt", "pre", False)
    for name in (*PARTIAL, "final_norm.weight"):
        assert relative_error(gradients[name], expected[name]) > 0.1, name
