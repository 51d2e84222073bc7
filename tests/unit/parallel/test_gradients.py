"""The gradient norm and clipping in one process; several ranks are in tests/distributed."""

from __future__ import annotations

import pytest
import torch

from hydratron.parallel.gradients import clip_gradients, gradient_norm
from hydratron.parallel.mesh import Mesh, ParallelGroup

CPU = torch.device("cpu")


def test_norm_of_a_large_matrix_is_exact_to_a_millionth() -> None:
    # torch's own fp32 norm misses this by 2e-5.
    gradient = torch.randn(51200, 32, generator=torch.Generator().manual_seed(0))
    expected = float(gradient.double().norm())
    norm = gradient_norm([gradient], [], Mesh(), CPU)
    assert float(norm) == pytest.approx(expected, rel=1e-6)


def test_replicated_gradients_count_on_the_first_rank_only() -> None:
    class Alone(ParallelGroup):
        def all_reduce(self, tensor: torch.Tensor, *args: object) -> torch.Tensor:
            return tensor

    sharded, replicated = [torch.tensor([3.0])], [torch.tensor([4.0])]
    assert float(gradient_norm(sharded, replicated, Mesh(Alone(0, 2)), CPU)) == 5.0
    assert float(gradient_norm(sharded, replicated, Mesh(Alone(1, 2)), CPU)) == 3.0
    assert float(gradient_norm([], [], Mesh(), CPU)) == 0.0


def test_clipping_scales_down_and_never_up() -> None:
    gradients = [torch.tensor([3.0]), torch.tensor([4.0])]
    clip_gradients(gradients, torch.tensor(5.0), 10.0)
    assert [float(g) for g in gradients] == [3.0, 4.0]
    clip_gradients(gradients, torch.tensor(5.0), 1.0)
    assert [float(g) for g in gradients] == pytest.approx([0.6, 0.8], rel=1e-5)
