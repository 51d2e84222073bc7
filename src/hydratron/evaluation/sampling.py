"""How the next token is chosen from the scores of all: the likeliest, or one that is drawn.

Drawing is by a generator on the CPU from the whole logits, so that neither the device nor how many
ranks share the model changes what is drawn.

Shapes: v entries of the tokenizer (without padding).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hydratron.parallel.random import derived_seed


@dataclass(frozen=True)
class Sampling:
    """`temperature` 0 takes the likeliest token, of equals the first one.

    Above 0 the logits are divided by it; then `top_k` keeps the likeliest tokens, 0 all of them,
    and `top_p` the fewest of those that have together at least that probability (Holtzman et al.
    2020, arXiv:1904.09751).
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


class Chooser:
    """Chooses token after token of one text; `number` counts the texts of a command from 0.

    What is drawn for a text does not depend on the others.
    """

    def __init__(self, sampling: Sampling, number: int = 0) -> None:
        self.sampling = sampling
        seed = derived_seed(sampling.seed, "generate", number)
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, logits: Tensor) -> int:
        """The next token, from logits [v]."""
        if self.sampling.temperature == 0.0:
            return int(logits.argmax())
        chances = probabilities(logits, self.sampling)
        return int(torch.multinomial(chances, 1, generator=self._generator))


def probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    """What is drawn by, [v] fp64 on the CPU, for a temperature above 0."""
    z = logits.double().cpu()
    z = (z - z.max()) / sampling.temperature
    if 0 < sampling.top_k < len(z):
        # Those beyond the k-th in order, not those below its value: equals may be more than k.
        z[z.sort(descending=True, stable=True).indices[sampling.top_k :]] = -torch.inf
    chances = z.softmax(dim=-1)
    if sampling.top_p < 1.0:
        ordered = chances.sort(descending=True, stable=True)
        before = ordered.values.cumsum(dim=-1) - ordered.values
        # The likeliest has nothing before it and always stays.
        chances[ordered.indices[before >= sampling.top_p]] = 0.0
        chances /= chances.sum()
    return chances
