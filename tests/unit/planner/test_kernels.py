"""The kernels of a GPU on tensors that live on none, and their FLOPs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from hydratron.models.attention import materialised_attention
from hydratron.planner.kernels import AcceleratorKernels
from hydratron.planner.memory import MemoryTrace
from hydratron.planner.modules import ModuleNames
from hydratron.planner.recorder import Recorder

B, A, S, D = 2, 3, 512, 8
SCORES = B * A * S * S


def sizes(function: Callable[[], Tensor], backward: bool = True) -> tuple[list[int], Recorder]:
    """The bytes of all storages that a call and its backward make."""
    memory = MemoryTrace()
    with FakeTensorMode(), AcceleratorKernels(), Recorder(ModuleNames(), memory) as recorder:
        result = function()
        if backward:
            result.sum().backward()
    found = [event.size for event in memory.events if event.size > 0]
    memory.close()
    return found, recorder


def attention(attend: Callable[..., Tensor], dropout: float = 0.1) -> Callable[[], Tensor]:
    def call() -> Tensor:
        q, k, v = (torch.empty(B, A, S, D, requires_grad=True) for _ in range(3))
        return attend(q, k, v, is_causal=True, dropout_p=dropout)

    return call


def test_a_dropout_mask_has_one_byte_an_element() -> None:
    def call() -> Tensor:
        return F.dropout(torch.empty(1000, dtype=torch.float16), 0.1)

    found, _ = sizes(call, backward=False)
    assert sorted(found) == [1000, 2000, 2000]


def test_dropout_that_drops_nothing_keeps_nothing() -> None:
    def call() -> Tensor:
        x = torch.empty(1000)
        return F.dropout(F.dropout(x, 0.0), 0.1, training=False)

    assert sizes(call, backward=False)[0] == [4000]


def test_fused_attention_with_dropout_holds_no_scores() -> None:
    found, _ = sizes(attention(F.scaled_dot_product_attention))
    assert max(found) <= 3 * B * A * S * D * 4


def test_manual_attention_holds_them() -> None:
    found, _ = sizes(attention(materialised_attention))
    assert found.count(4 * SCORES) >= 3
    assert SCORES in found  # the mask of the dropout


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_both_count_the_same_flops(dropout: float) -> None:
    found = []
    for attend in (F.scaled_dot_product_attention, materialised_attention):
        _, recorder = sizes(attention(attend, dropout))
        found.append(sum(kernel.flops * n for kernel, n in recorder.kernels.items()))
    # Two products forward, and two for each of them in backward.
    assert found == [6 * 2 * SCORES * D] * 2


def test_a_product_in_place_counts() -> None:
    def call() -> Tensor:
        return torch.empty(5, 7).addmm_(torch.empty(5, 3), torch.empty(3, 7))

    _, recorder = sizes(call, backward=False)
    assert sum(kernel.flops for kernel in recorder.kernels) == 2 * 5 * 3 * 7


def test_nonzero_finds_as_many_as_it_is_told() -> None:
    with FakeTensorMode(), AcceleratorKernels(chosen=7):
        found = torch.zeros(20).ge(1).nonzero()
    assert found.shape == (7, 1)
    assert found.dtype == torch.int64


def test_autocast_reaches_fused_attention() -> None:
    def call() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = attention(F.scaled_dot_product_attention)()
        assert result.dtype == torch.bfloat16
        return result

    sizes(call)
