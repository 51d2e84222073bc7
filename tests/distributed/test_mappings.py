"""f, g and gather against what Figure 3 of the paper says of them, on real ranks."""

from __future__ import annotations

import pytest
import torch

from hydratron.parallel import mappings
from hydratron.parallel.mesh import build_mesh
from tests.helpers.ranks import run_ranks


def through(rank: int, world_size: int, name: str, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Output and input gradient of one mapping; rank r feeds (r + 1) * x and upstream (r + 1)."""
    group = build_mesh({"tensor": world_size}, "cpu").tensor
    x = ((rank + 1) * torch.arange(1.0, 1 + 2 * width).view(2, width)).requires_grad_()
    y = getattr(mappings, f"{name}_tensor_model_parallel_region")(x, group)
    y.backward(torch.full_like(y, rank + 1.0))
    assert x.grad is not None
    return y.detach(), x.grad


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_each_mapping_is_what_figure_3_says(world_size: int) -> None:
    total = world_size * (world_size + 1) / 2
    base = torch.arange(1.0, 9.0).view(2, 4)
    for rank, (y, grad) in enumerate(run_ranks(through, world_size, "copy_to", 4)):
        assert torch.equal(y, (rank + 1) * base)
        assert torch.equal(grad, torch.full((2, 4), total))
    for rank, (y, grad) in enumerate(run_ranks(through, world_size, "reduce_from", 4)):
        assert torch.equal(y, total * base)
        assert torch.equal(grad, torch.full((2, 4), rank + 1.0))
    for rank, (y, grad) in enumerate(run_ranks(through, world_size, "gather_from", 4)):
        assert torch.equal(y, torch.cat([(r + 1) * base for r in range(world_size)], dim=1))
        assert torch.equal(grad, torch.full((2, 4), rank + 1.0))


def test_the_mesh_puts_tensor_parallel_ranks_side_by_side() -> None:
    places = run_ranks(mesh_place, 4)
    assert places == [(0, 0), (1, 0), (0, 1), (1, 1)]


def mesh_place(rank: int, world_size: int) -> tuple[int, int]:
    mesh = build_mesh({"data": 2, "tensor": 2}, "cpu")
    peers = mesh.tensor.all_gather(torch.tensor([rank]))
    assert [int(p) for p in peers] == [rank // 2 * 2, rank // 2 * 2 + 1]
    return mesh.tensor.rank, mesh.data.rank


def test_degrees_that_do_not_fill_the_world_are_refused() -> None:
    with pytest.raises(AssertionError, match=r"data 3 x tensor 2 = 6, but .* has 2 ranks"):
        run_ranks(wrong_mesh, 2)


def wrong_mesh(rank: int, world_size: int) -> None:
    build_mesh({"data": 3, "tensor": 2}, "cpu")
