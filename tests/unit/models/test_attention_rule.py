"""`model.attention=auto`: on CPUs short sequences take the materialised scores."""

from __future__ import annotations

import pytest
import torch

from hydratron.config.model import ModelConfig
from hydratron.models.attention import SelfAttention
from hydratron.models.attention_rule import LONGEST_MANUAL, fused_is_faster
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.regions import ALONE


@pytest.mark.parametrize(
    ("attention", "length", "device", "fused"),
    [
        ("auto", 256, "cpu", False),
        ("auto", 257, "cpu", True),
        ("auto", 64, "meta", True),
        ("sdpa", 64, "cpu", True),
        ("manual", 4096, "cpu", False),
    ],
)
def test_auto_is_by_length_and_device(
    attention: str, length: int, device: str, fused: bool
) -> None:
    shape = ModelConfig(hidden_size=8, seq_length=length, attention=attention).shape(16)
    layer = SelfAttention(shape, ALONE, RandomStreams(1), True, torch.device(device))
    assert layer.fused is fused


def test_a_gpu_always_takes_the_fused_one() -> None:
    assert "cuda" not in LONGEST_MANUAL
    assert fused_is_faster(1, "cuda")
