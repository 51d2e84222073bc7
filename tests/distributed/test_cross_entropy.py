"""Vocab-parallel cross-entropy against the golden values and torch's own, with gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hydratron.parallel.cross_entropy import (
    vocab_parallel_cross_entropy,
    vocab_parallel_linear_loss,
)
from hydratron.parallel.mesh import SINGLE, ParallelGroup, build_mesh
from hydratron.parallel.sharding import shard
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import unshard

GOLDEN = [[0.5, -1.0, 2.0, 0.0, 1.5, -0.5, 3.0, -2.0], [1.0] * 8]


def losses(rank: int, world_size: int, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    group = build_mesh({"tensor": world_size}, "cpu").tensor
    z = shard(logits, 1, group).clone().requires_grad_()
    loss = vocab_parallel_cross_entropy(z, targets, group, logits.shape[1])
    loss.backward(torch.arange(1.0, 1 + len(targets)))
    assert z.grad is not None
    return loss.detach(), z.grad


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_golden_values(world_size: int) -> None:
    parts = run_ranks(losses, world_size, torch.tensor(GOLDEN), torch.tensor([6, 3]))
    for loss, _ in parts:
        expected = torch.tensor([0.57556373, math.log(8)])
        torch.testing.assert_close(loss, expected, atol=3e-7, rtol=0)  # 5 ulp in fp32


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_equals_torch_for_random_logits(world_size: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(7)
    logits = scale * torch.randn(11, 24, generator=generator)
    targets = torch.randint(0, 24, (11,), generator=generator)
    dense = logits.clone().requires_grad_()
    expected = F.cross_entropy(dense, targets, reduction="none")
    expected.backward(torch.arange(1.0, 12.0))
    assert dense.grad is not None
    parts = run_ranks(losses, world_size, logits, targets)
    for loss, _ in parts:
        torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(unshard([grad for _, grad in parts], 1), dense.grad)


def linear_loss(
    rank: int,
    world_size: int,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    group = build_mesh({"tensor": world_size}, "cpu").tensor
    x = hidden.clone().requires_grad_()
    w = shard(weight, 0, group).clone().requires_grad_()
    b = None if bias is None else shard(bias, 0, group).clone().requires_grad_()
    loss = vocab_parallel_linear_loss(x, w, targets, group, chunk, b)
    (0.5 * loss).backward()
    assert x.grad is not None
    assert w.grad is not None
    with torch.no_grad():  # the path of validation makes no gradients and must give the same
        again = vocab_parallel_linear_loss(x, w, targets, group, chunk, b)
    assert torch.equal(again, loss)
    return loss.detach(), x.grad, w.grad, None if b is None else b.grad


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize(("chunk", "with_bias"), [(3, False), (100, False), (3, True)])
def test_fused_head_and_loss_equal_torch(world_size: int, chunk: int, with_bias: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(10, 6, generator=generator)
    weight = torch.randn(16, 6, generator=generator)
    bias = torch.randn(16, generator=generator) if with_bias else None
    targets = torch.randint(0, 16, (10,), generator=generator)
    targets[[2, 7]] = -1  # not counted, as BERT's unmasked tokens
    x, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    b = None if bias is None else bias.clone().requires_grad_()
    expected = F.cross_entropy(F.linear(x, w, b), targets, reduction="sum", ignore_index=-1)
    (0.5 * expected).backward()
    parts = run_ranks(linear_loss, world_size, hidden, weight, bias, targets, chunk)
    for loss, hidden_gradient, *_ in parts:
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(hidden_gradient, x.grad)
    torch.testing.assert_close(unshard([part[2] for part in parts], 0), w.grad)
    if b is not None:
        torch.testing.assert_close(unshard([part[3] for part in parts], 0), b.grad)


def test_a_negative_target_gives_a_finite_loss_and_no_wrong_column() -> None:
    z = torch.tensor(GOLDEN, requires_grad=True)
    loss = vocab_parallel_cross_entropy(z, torch.tensor([-1, 3]), SINGLE, 8)
    assert torch.isfinite(loss).all()
    loss[1].backward()
    assert z.grad is not None
    assert not z.grad[0].any()


def test_gathered_logits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits are 8 wide, not 8 / 2 = 4"):
        vocab_parallel_cross_entropy(
            torch.tensor(GOLDEN), torch.tensor([6, 3]), ParallelGroup(0, 2), 8
        )
