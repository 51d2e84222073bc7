"""A cache of keys and values changes how much is computed, not what."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hydratron.models.cache import KeyValueCache
from tests.helpers.tiny import SEQ, tiny_batch, tiny_gpt

VARIANTS: list[dict[str, Any]] = [
    {},
    {"placement": "post"},
    {"placement": "deepnorm"},
    {"placement": "sandwich", "norm": "rmsnorm"},
    {"fused_attention": False, "gelu": "erf", "residual_scale": 0.5, "recompute": True},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_tokens_in_parts_have_the_logits_of_all_at_once(options: dict[str, Any]) -> None:
    model = tiny_gpt(**options).eval()
    tokens, _ = tiny_batch()
    expected, cache = model.logits(tokens), KeyValueCache(SEQ)
    # Several at first, some in the middle, then one by one.
    found = [
        model.tied_logits(model(part, cache=cache))
        for part in tokens.split([3, 2, *[1] * (SEQ - 5)], dim=1)
    ]
    torch.testing.assert_close(torch.cat(found, dim=1), expected, rtol=1e-5, atol=1e-5)
    assert cache.length == SEQ
    with pytest.raises(ValueError, match=f"room for {SEQ}"):
        model(tokens[:, :1], cache=cache)
