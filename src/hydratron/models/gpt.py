"""GPT-2 as the paper trains it: learned positions, tied head, residual-scaled initial weights.

Shapes: b batch, s sequence, h hidden, V padded vocabulary.
"""

from __future__ import annotations

from torch import Tensor

from hydratron.models.cache import KeyValueCache
from hydratron.models.language import LanguageModel, trunk_parameters
from hydratron.models.shape import Shape
from hydratron.parallel.sharding import ParamTable


class GPTModel(LanguageModel):
    """tokens [b, s] -> hidden states [b, s, h], logits [b, s, V] or the summed loss."""

    causal = True

    def forward(self, tokens: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Hidden states [b, s, h] after the last layer, equal on all ranks of the replica.

        With a `cache` they are of tokens that go on from those it has, and which it then has too.
        """
        first = 0 if cache is None else cache.place_for(tokens.shape[1])
        x = self.embed(tokens, first) if self.first else self.received
        return self.encode(x, cache=cache)

    def logits(self, tokens: Tensor) -> Tensor:
        """Whole logits [b, s, V], gathered on every rank: for evaluation, not for training."""
        return self.tied_logits(self(tokens))

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy in nats over all targets [b, s] that are >= 0, fp32."""
        return self.word_loss(self(tokens).flatten(0, 1), targets.flatten())


def gpt_parameters(shape: Shape, init_std: float) -> ParamTable:
    """How GPT's parameters are split, drawn and decayed: all of them are the trunk's."""
    return ParamTable(*trunk_parameters(shape, init_std))
