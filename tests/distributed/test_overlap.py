"""Gradients summed over replicas beside backward are those summed after it, to the last bit."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from hydratron.models.gpt import gpt_parameters
from hydratron.parallel import gradients
from hydratron.parallel.mesh import Mesh, build_mesh
from hydratron.tasks.causal import Causal
from hydratron.training.step import Step, StepResult
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import TINY, VOCAB, tiny_gpt


def step_of(mesh: Mesh, overlapped: bool) -> tuple[dict[str, Tensor], StepResult]:
    """The gradients of one step of two micro-batches, of the second of two steps."""
    network, table = tiny_gpt(mesh.tensor), gpt_parameters(TINY, 0.2)
    step = Step(network, table, Causal(), mesh, 0.0, nullcontext)
    assert step.overlap is not None
    if not overlapped:
        step.overlap = None
    random = torch.Generator().manual_seed(mesh.data.rank)
    for _ in range(2):
        tokens = torch.randint(VOCAB, (2, 2, TINY.seq_length + 1), generator=random)
        batches = [{"tokens": each} for each in tokens]
        counts = torch.tensor([tokens[..., 1:].numel()], dtype=torch.float64)
        result = step(batches, counts, lambda: None)
    return {n: p.grad for n, p in network.named_parameters() if p.grad is not None}, result


def both(rank: int, world_size: int) -> Any:
    """Of the tensor-parallel replicas: gradients and results by either way, and what was sent."""
    mesh = build_mesh({"data": 2, "tensor": world_size // 2}, "cpu")
    gradients.BUCKET_BYTES = 2**12  # The network is small; buckets have to be smaller.
    sent: list[tuple[bool, int]] = []
    whole = dist.all_reduce

    def counted(tensor: Tensor, *args: Any, **options: Any) -> Any:
        if options.get("async_op"):
            sent.append((torch._C._current_graph_task_id() != -1, tensor.numel()))
        return whole(tensor, *args, **options)

    after = step_of(mesh, overlapped=False)
    dist.all_reduce = counted
    try:
        return after, step_of(mesh, overlapped=True), sent
    finally:
        dist.all_reduce = whole


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_gradients_have_the_same_bits(ranks: int) -> None:
    for after, beside, sent in run_ranks(both, ranks):
        assert after[1] == beside[1]
        for name, gradient in after[0].items():
            assert torch.equal(gradient, beside[0][name]), name
        # Most of it while backward runs, the rest after it; each of two steps sends all once.
        assert sum(beside_backward for beside_backward, _ in sent) >= 4
        assert sum(numel for _, numel in sent) == 2 * sum(g.numel() for g in after[0].values())
