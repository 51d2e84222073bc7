"""The normalisation functions: every value of `model.layernorm.norm`.

A norm is one row of `NORMS`: what makes the module for h features, whose parameters are called
`weight` and, where it has one, `bias`.  Needs no torch before it makes one, because the schema
reads the names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import device, nn

Norm = Callable[[int, float, "device | str | None"], "nn.Module"]


def layernorm(size: int, eps: float, device: device | str | None = None) -> nn.Module:
    """(x - mean) / sqrt(var + eps) * weight + bias (Ba et al. 2016, arXiv:1607.06450)."""
    from torch import nn

    return nn.LayerNorm(size, eps=eps, device=device)


def rmsnorm(size: int, eps: float, device: device | str | None = None) -> nn.Module:
    """x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019, arXiv:1910.07467)."""
    from torch import nn

    return nn.RMSNorm(size, eps=eps, device=device)


NORMS: dict[str, Norm] = {
    "layernorm": layernorm,
    "rmsnorm": rmsnorm,
}
