"""Keys and values of the tokens so far, so that the next one costs one position and not all.

A cache is made by whoever generates and handed to the forward pass; without one nothing is kept.
Each rank keeps those of its own heads.

Shapes: b batch, s new tokens, c tokens so far with the new ones, a heads, d head dimension, t group
size.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor


class KeysAndValues:
    """Of one layer; room for `most` tokens is taken when the first ones come."""

    def __init__(self, most: int) -> None:
        self.most, self.length = most, 0
        self._kept: tuple[Tensor, Tensor] | None = None

    def extended(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keep k and v of new tokens, [b, a / t, s, d]; returns all so far, [b, a / t, c, d]."""
        first, last = self.length, self.length + k.shape[2]
        if self._kept is None:
            b, heads, _, d = k.shape
            self._kept = k.new_empty(b, heads, self.most, d), v.new_empty(b, heads, self.most, d)
        for kept, new in zip(self._kept, (k, v), strict=True):
            kept[:, :, first:last] = new
        self.length = last
        keys, values = (kept[:, :, :last] for kept in self._kept)
        return keys, values


class KeyValueCache:
    """The keys and values of all layers, by the layer's name; `most` is at most seq_length."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._layers: defaultdict[str, KeysAndValues] = defaultdict(lambda: KeysAndValues(most))

    def __getitem__(self, layer: str) -> KeysAndValues:
        return self._layers[layer]

    @property
    def length(self) -> int:
        """Tokens that have gone through all layers."""
        return min((layer.length for layer in self._layers.values()), default=0)

    def place_for(self, new: int) -> int:
        """The position of the first of so many new tokens; ValueError where there is no room."""
        last = self.length + new
        if last > self.most:
            raise ValueError(f"{last} tokens, but the cache has room for {self.most}")
        return self.length


def seen_by_new(new: int, so_far: int, device: torch.device) -> Tensor | None:
    """What each of the last `new` of `so_far` tokens may see, bool [s, c]: itself and all before.

    None where that is all of them, as for a single new token.
    """
    if new == 1:
        return None
    return torch.ones(new, so_far, dtype=torch.bool, device=device).tril(so_far - new)
