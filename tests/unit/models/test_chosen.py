"""Hidden states at some positions equal those of the whole network there."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hydratron.models.chosen import hidden_at
from hydratron.models.gelu import gelu
from hydratron.models.placements import PLACEMENTS
from tests.helpers.tiny import SEQ, tiny_batch, tiny_gpt


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("fused", [True, False])
def test_equal_to_the_whole_at_every_placement(placement: str, fused: bool) -> None:
    model = tiny_gpt(placement=placement, fused_attention=fused).eval()
    tokens, _ = tiny_batch(3)
    # Neither in order nor all different, as where a window is filled up.
    positions = torch.tensor([[SEQ - 1, 0], [3, 3], [0, 5]])
    with torch.no_grad():
        # A LayerNorm that changes nothing would hide that it was left out.
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
        expected = model(tokens)[torch.arange(3).unsqueeze(1), positions]
        found = hidden_at(model, tokens, positions)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_gelu_by_parts_is_gelu() -> None:
    x = torch.cat([torch.linspace(-30, 30, 4001), torch.tensor([-1e30, 0.0, 1e30])])
    with torch.inference_mode():
        found = gelu(x.clone(), "tanh")
    expected = F.gelu(x.double(), approximate="tanh")
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gelu(x, "none"), F.gelu(x), rtol=0, atol=0)
