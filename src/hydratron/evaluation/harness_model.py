"""Our model as lm-eval asks one: log-likelihoods of texts, and texts that go on.

The harness cuts its texts into tokens by its own rules; here these become windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from hydratron.data.tokenizer import Tokenizer
from hydratron.evaluation.contract import Scores
from hydratron.evaluation.sampling import Sampling
from hydratron.evaluation.windows import Windows

# Requests that are scored before it is told how far it is.
AT_ONCE = 1024
# Tokens of an answer where a task does not say.
ANSWER = 256
Score = Callable[[Windows], Scores]
# Tokens, how many may follow, the texts that end an answer, how to draw, and the text's number.
GoOn = Callable[[Sequence[int], int, Sequence[str], Sampling, int], str]


class HarnessModel(TemplateLM):
    """`tokenizer` has a token that ends a document; `tell` hears how many requests are done.

    `cut`: how many requests were longer than `max_length`, and lost their start.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int,
        score: Score,
        go_on: GoOn,
        tell: Callable[[int], None],
    ) -> None:
        super().__init__()
        self.words, self.max_length = tokenizer, max_length
        self.score, self.go_on, self.tell = score, go_on, tell
        self.cut = 0

    @property
    def eot_token_id(self) -> int:
        assert self.words.eod is not None
        return self.words.eod

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        return self.words.encode(string)

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """The log-likelihood of whole texts, in windows side by side."""
        found = []
        for request in requests:
            (text,) = request.args
            windows = get_rolling_token_windows(
                self.words.encode(text), self.eot_token_id, self.max_length, context_len=1
            )
            losses = self._scored([make_disjoint_window(each) for each in windows]).losses
            found.append(-float(losses.sum()))
            self.tell(1)
        return found

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        found: list[tuple[float, bool]] = []
        for first in range(0, len(requests), AT_ONCE):
            some = requests[first : first + AT_ONCE]
            scores = self._scored([(context, target) for _, context, target in some])
            found += zip((-scores.losses).tolist(), scores.all_right.tolist(), strict=True)
            self.tell(len(some))
        return found

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        found = []
        for number, request in enumerate(requests):
            context, settings = request.args
            until = settings.get("until") or []
            until = [until] if isinstance(until, str) else [*until]
            tokens = self.words.encode(context) or [self.eot_token_id]
            most = int(settings.get("max_gen_toks", ANSWER))
            # A short model gives half its positions to the context, however long the answer may be.
            room = max(self.max_length - most, self.max_length // 2)
            self.cut += len(tokens) > room
            tokens = tokens[-room:]
            most = min(most, self.max_length - len(tokens))
            found.append(self.go_on(tokens, most, until, _sampling(settings), number))
            self.tell(1)
        return found

    def _scored(self, pairs: Sequence[tuple[list[int], list[int]]]) -> Scores:
        """Of each pair of given and scored tokens; what is too long loses its start."""
        joined, scored = [], []
        # A target may be empty: the whole text was the token that stands for no context.
        asked = np.array([bool(target) for _, target in pairs], dtype=bool)
        for context, target in (pair for pair in pairs if pair[1]):
            whole = [*context, *target]
            self.cut += len(whole) > self.max_length + 1
            joined.append(whole[-(self.max_length + 1) :])
            scored.append(min(len(target), self.max_length))
        ends = np.cumsum([0, *map(len, joined)])
        lengths = np.array([last - first - 1 for first, last in pairwise(ends)], dtype=np.int64)
        tokens = np.array([token for whole in joined for token in whole], dtype=np.int32)
        windows = Windows(tokens, ends[:-1], lengths, np.array(scored, dtype=np.int64))
        losses, right = np.zeros(len(pairs)), np.ones((2, len(pairs)), dtype=bool)
        if joined:
            losses[asked], *right[:, asked] = self.score(windows)
        return Scores(losses, *right)


def _sampling(settings: dict[str, Any]) -> Sampling:
    """The likeliest token, unless a task says that it is to be drawn."""
    if not settings.get("do_sample", False):
        return Sampling()
    return Sampling(
        float(settings.get("temperature", 1.0)),
        int(settings.get("top_k") or 0),
        float(settings.get("top_p", 1.0)),
    )
