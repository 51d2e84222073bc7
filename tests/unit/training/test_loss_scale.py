"""fp16's loss scale: its rule, and a step that takes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from hydratron.config.trainer import LossScaleConfig
from hydratron.parallel.cross_entropy import vocab_parallel_linear_loss
from hydratron.parallel.mesh import SINGLE, Mesh
from hydratron.tasks.causal import Causal
from hydratron.training.loss_scale import LARGEST, LossScale
from hydratron.training.step import Step
from tests.helpers.tiny import TABLE, tiny_batch, tiny_gpt


def scale_of(**options: Any) -> LossScale:
    return LossScale(LossScaleConfig(**{"initial": 64.0, "window": 3, **options}))


def after(scale: LossScale, steps: str) -> list[float]:
    """The values after steps that are clean (.), overflow (o) or lose their loss (l)."""
    values = []
    for step in steps:
        assert scale.see(step != "l", step != "o") is None
        values.append(scale.value)
    return values


def test_the_rule_is_megatrons() -> None:
    assert after(scale_of(), "...") == [64, 64, 128]
    # The first overflow spends a credit, every further one halves; doubling restores the credits.
    scale = scale_of()
    assert after(scale, "o.oo") == [64, 64, 32, 16]
    assert after(scale, "..o...o") == [16, 16, 8, 8, 8, 16, 16]
    assert scale.skipped == 5
    # A loss that is not finite is not the scale's, but the steps are clean no more.
    assert after(scale_of(hysteresis=1), "..l..") == [64] * 5
    assert after(scale_of(initial=LARGEST, window=1), ".") == [LARGEST]


def test_it_ends_at_the_smallest_value_or_after_too_many_skips() -> None:
    scale = scale_of(initial=2.0, hysteresis=1)
    assert after(scale, "o") == [1]
    assert scale.see(True, False) == "at loss scale 1, the smallest"
    assert scale.skipped == 1
    scale = scale_of(max_skips=2)
    assert after(scale, "ll.ll") == [64] * 5
    assert scale.see(False, False) == "after 2 skipped steps in a row"


def test_it_goes_on_as_it_was_saved() -> None:
    scale, again, other = scale_of(), scale_of(initial=2.0), scale_of()
    after(scale, "oo..")
    again.load(scale.state())
    assert again.state() == scale.state()
    for each in (scale, again):
        assert after(each, ".oo") == [64, 64, 32]
    # From a run of another type the count alone goes on.
    coarse = LossScale(LossScaleConfig(), used=False)
    coarse.load(scale.state())
    assert coarse.state() == {"skipped": 4}
    other.load(coarse.state())
    assert (other.skipped, other.value) == (4, 64)


def taken(
    scale: LossScale | None,
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    spoil: Callable[[Tensor], Tensor] | None = None,
    factor: float = 1.0,
) -> tuple[Any, dict[str, Tensor], bool]:
    """One step of a tiny GPT: its result, the gradients, and whether it updated."""
    network, updates = tiny_gpt(), list[int]()
    if spoil is not None:
        network.get_parameter("final_norm.bias").register_hook(spoil)

    class Scaled(Causal):
        def sums(self, network: Any, batch: Any) -> Tensor:
            return super().sums(network, batch) * factor

    tokens, targets = tiny_batch()
    batch = {"tokens": torch.cat([tokens, targets[:, -1:]], dim=1)}
    step = Step(network, TABLE, Scaled(), Mesh(), 0.0, precision, scale=scale)
    counts = torch.tensor([24.0], dtype=torch.float64)
    result = step([batch], counts, partial(updates.append, 1))
    found = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return result, found, bool(updates)


def test_scaling_by_a_power_of_two_changes_no_bit() -> None:
    plain, expected, _ = taken(None)
    scaled, gradients, updated = taken(scale_of(initial=2.0**32))
    assert updated
    assert (scaled.loss, scaled.grad_norm) == (plain.loss, plain.grad_norm)
    assert all(gradients[name].equal(expected[name]) for name in expected)


def test_a_step_in_fp16_is_near_that_in_fp32_and_overflows_where_the_scale_is_too_large() -> None:
    half = partial(torch.autocast, "cpu", torch.float16)
    plain, expected, _ = taken(None)
    fine, gradients, updated = taken(scale_of(initial=2.0**12), half)
    assert updated
    assert fine.loss == pytest.approx(plain.loss, rel=1e-3)
    for name, gradient in gradients.items():
        assert (gradient - expected[name]).norm() < 5e-3 * expected[name].norm(), name
    # Gradients as small as these vanish in fp16 without a scale.
    _, lost, _ = taken(None, half, factor=1e-9)
    kept, found, _ = taken(scale_of(initial=2.0**32), half, factor=1e-9)
    name = "layers.0.mlp.sublayer.dense_h_to_4h.weight"
    assert lost[name].count_nonzero() < 0.1 * found[name].count_nonzero()
    assert kept.grad_norm == pytest.approx(1e-9 * plain.grad_norm, rel=5e-3)
    large, _, updated = taken(scale_of(initial=2.0**32), half)
    assert (large.skipped, updated) == (True, False)
    assert math.isfinite(large.loss)


def test_overflow_in_the_gradients_alone_and_in_the_loss() -> None:
    scale = scale_of(hysteresis=1)
    result, _, updated = taken(scale, spoil=lambda gradient: gradient * math.inf)
    assert (result.skipped, updated, scale.value) == (True, False, 32)
    assert result.broken == "the gradient norm is inf"
    result, _, updated = taken(scale, factor=math.inf)
    assert (result.skipped, updated, scale.value) == (True, False, 32)
    assert result.broken == "the loss is inf"
    result, _, updated = taken(scale_of(max_skips=0), factor=math.inf)
    assert (result.skipped, updated) == (False, False)
    assert result.broken == "the loss is inf (after 0 skipped steps in a row)"


def test_a_scale_beyond_fp16_is_none_of_the_gradients() -> None:
    draw = torch.Generator().manual_seed(5)
    weight = 1e-3 * torch.randn(16, 8, generator=draw)
    targets = torch.randint(0, 16, (6,), generator=draw)
    gradients = []
    whole = torch.randn(6, 8, generator=draw)
    for hidden in (whole, whole.half()):
        hidden.requires_grad_()
        loss = vocab_parallel_linear_loss(hidden, weight, targets, SINGLE, chunk_tokens=4)
        (loss * 2.0**17).backward()
        assert hidden.grad is not None
        gradients.append(hidden.grad.float())
    assert torch.finfo(torch.float16).max < 2.0**17
    assert (gradients[1] - gradients[0]).norm() < 5e-3 * gradients[0].norm()
