"""Sequence parallelism: the same model by another region, and what its faults would change."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

from hydratron.parallel.gradients import reduce_gradients
from hydratron.parallel.mesh import Mesh, build_mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.regions import Region
from hydratron.parallel.sequence import SequenceParallelRegion
from hydratron.parallel.sharding import ParamTable
from tests.helpers.faults import relative_error
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import TABLE, tiny_batch, tiny_gpt, unshard, whole_norm
from tests.helpers.tiny_bert import BERT_TABLE, tiny_answers, tiny_bert, tiny_inputs

TABLES = {"gpt": TABLE, "bert": BERT_TABLE}
# What works on a rank's own tokens.
PARTIAL = (
    "layers.0.mlp.norm.weight", "layers.0.mlp.norm.bias", "layers.0.attention.sublayer.dense.bias",
)  # fmt: skip


Found = tuple[Tensor, dict[str, Tensor], Tensor]
CELLS = [(a, p) for a in TABLES for p in ("pre", "post", "deepnorm", "sandwich")]


def step(
    mesh: Mesh, table: ParamTable, architecture: str, placement: str, region: Region | None = None
) -> Found:
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
    rank: int, world_size: int, cells: list[tuple[str, str]], is_summed: bool = True
) -> list[Found]:
    mesh = build_mesh({"data": 1, "tensor": world_size}, "cpu")
    region = SequenceParallelRegion(mesh.tensor)
    found = []
    for architecture, placement in cells:
        table = TABLES[architecture]
        table = table.in_sequence() if is_summed else table
        found.append(step(mesh, table, architecture, placement, region))
    return found


@pytest.fixture(scope="module")
def ranks() -> list[list[Found]]:
    """What two ranks find for every cell."""
    return run_ranks(in_sequence, 2, CELLS)


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_a_share_of_the_sequence_is_the_same_model(
    cell: tuple[str, str], ranks: list[list[Found]]
) -> None:
    table = TABLES[cell[0]]
    loss, expected, norm = step(Mesh(), table, *cell)
    parts = [rank[CELLS.index(cell)] for rank in ranks]
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
    ((_, gradients, _),), _ = run_ranks(in_sequence, 2, [("gpt", "pre")], False)
    for name in (*PARTIAL, "final_norm.weight"):
        assert relative_error(gradients[name], expected[name]) > 0.1, name


def wrong_join(rank: int, world_size: int) -> dict[str, Tensor]:
    """The gradients of a BERT whose last gather adds up, as that before a linear does."""
    setattr(SequenceParallelRegion, "join", SequenceParallelRegion.enter)  # noqa: B010
    return in_sequence(rank, world_size, [("bert", "pre")])[0][1]


def test_a_gather_with_the_other_backward_is_off_by_the_number_of_ranks() -> None:
    _, expected, _ = step(Mesh(), BERT_TABLE, "bert", "pre")
    name = "final_norm.weight"
    for gradients in run_ranks(wrong_join, 2):
        assert relative_error(gradients[name], 2 * expected[name]) < 1e-5


def dropped(rank: int, world_size: int) -> tuple[Tensor, Tensor]:
    """Masks of what flows between the blocks, and of what is inside them."""
    mesh = build_mesh({"data": 1, "tensor": world_size}, "cpu")
    streams = RandomStreams(3, tensor=mesh.tensor, in_sequence=True)
    between = torch.rand(4)
    with streams.tensor_parallel():
        return between, torch.rand(4)


def test_other_tokens_are_dropped_by_other_masks() -> None:
    (a, b), (c, d) = run_ranks(dropped, 2)
    masks = [a, b, c, d]
    assert not any(torch.equal(x, y) for x, y in combinations(masks, 2))
