"""FLOPs against the closed form for the published sizes."""

from __future__ import annotations

import pytest
import torch

from hydratron.config.schema import ModelConfig
from hydratron.training.throughput import flops_per_token, memory_bytes, peak_flops


@pytest.mark.parametrize(("layers", "hidden"), [(24, 1024), (72, 3072)])
def test_flops_equal_the_closed_form(layers: int, hidden: int) -> None:
    s, v, b = 1024, 51200, 8
    model = ModelConfig(num_layers=layers, hidden_size=hidden, seq_length=s)
    closed = 72 * b * s * layers * hidden**2 * (1 + s / (6 * hidden) + v / (12 * layers * hidden))
    assert b * s * flops_per_token(model, v) == pytest.approx(closed, rel=1e-12)


def test_the_machine_has_a_peak_and_a_memory() -> None:
    assert peak_flops(torch.device("cpu"), torch.float32) > 1e8
    assert memory_bytes(torch.device("cpu")) > 10 * 2**20
