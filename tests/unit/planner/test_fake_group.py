"""A world of any size in one process."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from hydratron.planner.fake_group import fake_mesh


def test_rank_0_of_any_world() -> None:
    with fake_mesh({"data": 64, "tensor": 8}) as mesh:
        assert dist.get_world_size() == 512
        assert (mesh.tensor.rank, mesh.tensor.size) == (0, 8)
        assert (mesh.data.rank, mesh.data.size) == (0, 64)
        assert mesh.tensor.all_reduce(torch.ones(3)).tolist() == [1.0] * 3  # nothing is sent
    assert not dist.is_initialized()


def test_the_group_is_closed_after_an_exception() -> None:
    with pytest.raises(RuntimeError, match="on purpose"), fake_mesh({"data": 2, "tensor": 2}):
        raise RuntimeError("on purpose")
    assert not dist.is_initialized()
    with fake_mesh({"data": 3, "tensor": 1}) as mesh:
        assert mesh.data.size == 3
