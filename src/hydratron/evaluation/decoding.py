"""A text goes on, token by token: the loop that all ranks of a replica run together.

Shapes: s tokens, v entries of the tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from hydratron.data.tokenizer import Tokenizer
from hydratron.models.cache import KeyValueCache
from hydratron.models.language import LanguageModel

# What the decoder makes of a character of which bytes are still to come.
CUT = "\ufffd"


def next_tokens(
    network: LanguageModel,
    prompt: Sequence[int],
    most: int,
    vocab_size: int,
    choose: Callable[[Tensor], int],
    cached: bool = True,
) -> Iterator[int]:
    """At most `most` tokens after those of `prompt`, of which there is at least one.

    `choose` is given the logits [v] of the tokenizer's own `vocab_size` entries, fp32; what the
    first rank of the network's group chooses counts.  All ranks of the group take part, and stop
    after the same token.  Without `cached` every token computes all those before it again.
    Raises ValueError for more tokens than the network has positions.
    """
    total, device = len(prompt) + most, network.word_embeddings.weight.device
    if total > network.shape.seq_length:
        raise ValueError(f"{total} tokens, but {network.shape.seq_length} positions")
    cache = KeyValueCache(total) if cached else None
    known, new = [*prompt], [*prompt]
    for _ in range(most):
        tokens = torch.tensor([new if cached else known], device=device)  # [1, s]
        hidden = network(tokens, cache=cache)[:, -1:]
        logits = network.tied_logits(hidden)[0, 0, :vocab_size].float()
        chosen = torch.tensor([choose(logits)], device=device)
        token = int(network.group.broadcast(chosen))
        yield token
        new = [token]
        known.append(token)


class Text:
    """The text of tokens that come one by one, in pieces that end with a whole character.

    It is read together with the prompt, because a decoder may treat the first token of a text
    differently.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int]) -> None:
        self._tokenizer, self._ids = tokenizer, [*prompt]
        self._begin = len(tokenizer.decode(self._ids))
        self._told = 0

    @property
    def text(self) -> str:
        """All that came after the prompt; a character that is cut is U+FFFD."""
        return self._tokenizer.decode(self._ids)[self._begin :]

    def add(self, token: int) -> str:
        """What is new with this token; nothing while a character is cut."""
        self._ids.append(token)
        text = self.text
        return "" if text.endswith(CUT) else self._tell(text)

    def rest(self) -> str:
        """What was held back, when no token comes any more."""
        return self._tell(self.text)

    def _tell(self, text: str) -> str:
        piece, self._told = text[self._told :], len(text)
        return piece
