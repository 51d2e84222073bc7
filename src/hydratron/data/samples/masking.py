"""Whole-word n-gram masking as in Megatron-LM's BERT: which pieces are predicted, and what is read.

The budget is counted in pieces, n-grams in words.  A word is a piece and the "##" pieces after it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.samples.bert_tokens import BertTokens

IGNORED = -1
"""The label of a place that is not predicted."""
MASKED, RANDOM = 0.8, 0.1
"""Shares of the predicted pieces that become [MASK] and any entry; the others stay."""


def mask_tokens(
    tokens: npt.NDArray[np.int64],
    special: BertTokens,
    budget: int,
    max_ngram: int,
    generator: np.random.RandomState,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """What the model reads and what it is to predict, both [length].

    [CLS] and [SEP] are never chosen, but words on both sides of one count as neighbours.  With a
    `max_ngram` of 0 each piece is chosen by itself, as the first BERT did (Devlin et al. 2018).
    """
    pieces = np.flatnonzero((tokens != special.cls) & (tokens != special.sep))
    continuation = special.continuation[tokens[pieces]]
    bounds = word_bounds(continuation) if max_ngram else np.arange(pieces.size + 1)
    spans = choose_spans(bounds, budget, max(1, max_ngram), generator)
    chosen = [pieces[bounds[word] : bounds[word + n]] for word, n in spans]
    at = np.concatenate(chosen) if chosen else pieces[:0]

    labels = np.full_like(tokens, IGNORED)
    labels[at] = tokens[at]
    read = tokens.copy()
    read[at] = replaced(tokens[at], special, generator)
    return read, labels


def word_bounds(continuation: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Where each word starts, closed by the number of pieces, [words + 1].

    A continuation without anything before it, left by truncation, is a word of its own.
    """
    starts = ~continuation
    starts[:1] = True
    return np.append(np.flatnonzero(starts), starts.size)


def choose_spans(
    bounds: npt.NDArray[np.int64],
    budget: int,
    max_ngram: int,
    generator: np.random.RandomState,
) -> list[tuple[int, int]]:
    """(first word, words) of n-grams that do not overlap and have up to `budget` pieces together.

    One n-gram is tried at each word, in a random order: shortened where the budget asks for it,
    left out where a word of it is taken.
    """
    words = len(bounds) - 1
    order = generator.permutation(words)
    lengths = ngram_lengths(words - order, max_ngram, generator)
    ends = bounds.tolist()
    taken = bytearray(words)
    spans = []
    for word, n in zip(order.tolist(), lengths.tolist(), strict=True):
        if budget <= 0:
            break
        start = ends[word]
        while n and ends[word + n] - start > budget:
            n -= 1
        if n and not any(taken[word : word + n]):
            taken[word : word + n] = b"\1" * n
            budget -= ends[word + n] - start
            spans.append((word, n))
    return spans


def ngram_lengths(
    left: npt.NDArray[np.integer[Any]], max_ngram: int, generator: np.random.RandomState
) -> npt.NDArray[np.int64]:
    """n for each place with `left` words from there on, [places]: P(n) ~ 1 / n up to max_ngram.

    Near the end the probabilities of the n that fit are scaled to a sum of 1.
    """
    sums = np.cumsum(1 / np.arange(1, max_ngram + 1))
    most = np.minimum(left, max_ngram)
    drawn = np.searchsorted(sums, generator.random_sample(len(left)) * sums[most - 1], "right") + 1
    return np.minimum(drawn, most)


def replaced(
    tokens: npt.NDArray[np.int64], special: BertTokens, generator: np.random.RandomState
) -> npt.NDArray[np.int64]:
    """Each piece for itself: [MASK] in 80 %, any entry of the vocabulary in 10 %, else itself."""
    share = generator.random_sample(len(tokens))
    entries = generator.randint(0, special.vocab_size, len(tokens))
    kept_or_any = np.where(share < MASKED + RANDOM, entries, tokens)
    return np.where(share < MASKED, special.mask, kept_or_any)
