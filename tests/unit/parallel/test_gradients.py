"""The share of the gradient norm of one process; several ranks are in tests/distributed."""

from __future__ import annotations

import pytest
import torch

from hydratron.parallel.gradients import squared_norm
from hydratron.parallel.mesh import Mesh, ParallelGroup
from hydratron.parallel.sharding import ParamSpec, ParamTable

CPU = torch.device("cpu")
TABLE = ParamTable(ParamSpec("split", shard_dim=0), ParamSpec("whole"))


def test_norm_of_a_large_matrix_is_exact_to_a_millionth() -> None:
    # torch's own fp32 norm misses this by 2e-5.
    gradient = torch.randn(51200, 32, generator=torch.Generator().manual_seed(0))
    expected = float(gradient.double().norm())
    squared = squared_norm({"split": gradient}, TABLE, Mesh(), CPU)
    assert squared.dtype == torch.float64
    assert float(squared.sqrt()) == pytest.approx(expected, rel=1e-6)


def test_replicated_gradients_count_on_the_first_rank_only() -> None:
    gradients = {"split": torch.tensor([3.0]), "whole": torch.tensor([4.0])}
    for rank, expected in ((0, 25.0), (1, 9.0)):
        mesh = Mesh({"tensor": ParallelGroup(rank, 2)})
        assert float(squared_norm(gradients, TABLE, mesh, CPU)) == expected
    assert float(squared_norm({}, TABLE, Mesh(), CPU)) == 0.0
