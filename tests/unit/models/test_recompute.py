"""What is computed again in backward is what forward computed, bit by bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hydratron.models.shape import RECOMPUTED
from tests.helpers.tiny import tiny_batch, tiny_gpt
from tests.helpers.tiny_bert import tiny_answers, tiny_bert, tiny_inputs


def step(architecture: str, **changes: Any) -> tuple[Tensor, dict[str, Tensor], int]:
    """Loss, gradients, and how often GeLU ran."""
    tiny: Any = tiny_bert if architecture == "bert" else tiny_gpt
    network = tiny(fused_attention=False, dropout=0.3, placement="post", **changes)
    if architecture == "bert":
        losses = network.loss(**tiny_inputs(), **tiny_answers())
        loss = losses.mlm + losses.sop
    else:
        loss = network.loss(*tiny_batch())
    runs: list[int] = []
    for layer in network.layers.values():
        layer.mlp.sublayer.dense_h_to_4h.register_forward_hook(lambda *_: runs.append(1))
    loss.backward()
    return loss.detach(), {n: p.grad for n, p in network.named_parameters()}, len(runs)


@pytest.mark.parametrize("architecture", ["gpt", "bert"])
def test_each_kind_is_the_same_step(architecture: str) -> None:
    loss, expected, _ = step(architecture)
    for recompute in RECOMPUTED:
        found, gradients, runs = step(architecture, recompute=recompute)
        assert torch.equal(found, loss), recompute
        for name, gradient in expected.items():
            assert torch.equal(gradients[name], gradient), (recompute, name)
        assert runs == (2 if recompute in ("mlp", "layer") else 0), recompute
