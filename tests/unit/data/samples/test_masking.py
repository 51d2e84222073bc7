"""Which pieces are masked, and with what: the rules on any input, the shares on many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.data.samples.bert_tokens import BertTokens
from hydratron.data.samples.masking import (
    choose_spans,
    mask_tokens,
    ngram_lengths,
    replaced,
    word_bounds,
)
from tests.unit.data.samples.shares import check_share

SPECIAL = BertTokens(cls=1, sep=2, mask=3, pad=0, vocab_size=50, continuation=np.arange(50) >= 40)
SEEDS = st.integers(0, 2**32 - 1)


def bounds(lengths: list[int]) -> npt.NDArray[np.int64]:
    return np.append(0, np.cumsum(lengths, dtype=np.int64))


@pytest.mark.parametrize(
    ("continuation", "expected"),
    [
        ("", [0]),
        (".", [0, 1]),
        ("#", [0, 1]),
        (".#.##.", [0, 2, 5, 6]),
        ("##.", [0, 2, 3]),
    ],
)
def test_words(continuation: str, expected: list[int]) -> None:
    assert word_bounds(np.array([c == "#" for c in continuation], bool)).tolist() == expected


@given(st.lists(st.integers(1, 4), max_size=30), st.integers(0, 40), st.integers(1, 4), SEEDS)
def test_spans_fit_and_do_not_overlap(
    lengths: list[int], budget: int, max_ngram: int, seed: int
) -> None:
    spans = choose_spans(bounds(lengths), budget, max_ngram, np.random.RandomState(seed))
    words = [word for first, n in spans for word in range(first, first + n)]
    assert len(set(words)) == len(words)
    assert set(words) <= set(range(len(lengths)))
    assert all(1 <= n <= max_ngram for _, n in spans)
    left = budget - sum(lengths[word] for word in words)
    assert left >= 0
    if max_ngram == 1:
        # A word is left out for want of room only.
        assert all(lengths[word] > left for word in set(range(len(lengths))) - set(words))


def test_an_ngram_is_shortened_to_the_budget() -> None:
    generator = np.random.RandomState(0)
    words = 30
    first = [choose_spans(bounds([2] * words), 4, 3, generator)[0] for _ in range(5000)]
    inner = [n for word, n in first if word <= words - 3]
    # 3 words of 2 pieces never fit; each time that 3 are drawn there are 2.
    assert set(inner) == {1, 2}
    check_share(inner.count(1), len(inner), 6 / 11)


def test_the_first_ngram_is_of_each_length_in_its_share_and_anywhere() -> None:
    generator = np.random.RandomState(1)
    words = 40
    first = [choose_spans(bounds([1] * words), 3, 3, generator)[0] for _ in range(20_000)]
    inner = [n for word, n in first if word <= words - 3]
    for n, share in ((1, 6 / 11), (2, 3 / 11), (3, 2 / 11)):
        check_share(inner.count(n), len(inner), share)
    for place in (0, 17, words - 1):
        check_share(sum(word == place for word, _ in first), len(first), 1 / words)


@pytest.mark.parametrize(
    ("left", "max_ngram", "shares"),
    [
        (100, 3, [6 / 11, 3 / 11, 2 / 11]),
        (3, 3, [6 / 11, 3 / 11, 2 / 11]),
        (2, 3, [2 / 3, 1 / 3]),
        (1, 3, [1.0]),
        (100, 2, [2 / 3, 1 / 3]),
        (100, 1, [1.0]),
    ],
)
def test_the_lengths_of_ngrams(left: int, max_ngram: int, shares: list[float]) -> None:
    n = 100_000
    drawn = ngram_lengths(np.full(n, left), max_ngram, np.random.RandomState(2))
    counts = np.bincount(drawn, minlength=len(shares) + 1)
    assert len(counts) == len(shares) + 1
    for count, share in zip(counts[1:].tolist(), shares, strict=True):
        check_share(count, n, share)


def test_what_is_read_instead() -> None:
    n, size = 200_000, 10_000
    special = BertTokens(1, 2, 3, 0, size, np.zeros(size, bool))
    tokens = np.full(n, 77)
    read = replaced(tokens, special, np.random.RandomState(3))
    check_share(int((read == special.mask).sum()), n, 0.8 + 0.1 / size)
    check_share(int((read == 77).sum()), n, 0.1 + 0.1 / size)
    anything = read[(read != special.mask) & (read != 77)]
    check_share(len(anything), n, 0.1 * (size - 2) / size)
    # Uniform over the whole vocabulary: no tenth of it is more likely, and its ends occur.
    for tenth in range(10):
        check_share(int((anything * 10 // size == tenth).sum()), len(anything), 0.1, 3 / size)
    assert anything.min() < 10
    assert anything.max() >= size - 10


@given(st.lists(st.integers(1, 49), max_size=60), st.integers(0, 30), SEEDS)
def test_masked_tokens_can_be_restored(ids: list[int], budget: int, seed: int) -> None:
    tokens = np.array(ids, np.int64)
    read, labels = mask_tokens(tokens, SPECIAL, budget, 3, np.random.RandomState(seed))
    chosen = labels != -1
    assert np.array_equal(np.where(chosen, labels, read), tokens)
    assert not (chosen & ((tokens == SPECIAL.cls) | (tokens == SPECIAL.sep))).any()
    assert chosen.sum() <= budget


def test_words_are_whole_even_across_a_separator() -> None:
    """Truncation may leave a continuation behind [SEP]; it goes on with the word before."""
    tokens = np.array([1, 41, 10, 42, 2, 43, 11, 2])
    seen = set()
    for seed in range(300):
        _, labels = mask_tokens(tokens, SPECIAL, 8, 1, np.random.RandomState(seed))
        seen.add(tuple(np.flatnonzero(labels != -1).tolist()))
    # Words: 41; 10 ## ##; 11.  With room for all, all are taken.
    assert seen == {(1, 2, 3, 5, 6)}
    words = set()
    for seed in range(300):
        _, labels = mask_tokens(tokens, SPECIAL, 3, 1, np.random.RandomState(seed))
        words.add(tuple(np.flatnonzero(labels != -1).tolist()))
    assert words == {(1, 6), (2, 3, 5)}


def test_without_ngrams_each_piece_is_chosen_by_itself() -> None:
    """Two of the three pieces of a word may be read beside the one that is predicted."""
    tokens = np.array([1, 10, 42, 43, 11, 2])
    n, alone, parts = 3000, 0, 0
    for seed in range(n):
        _, labels = mask_tokens(tokens, SPECIAL, 1, 0, np.random.RandomState(seed))
        (place,) = np.flatnonzero(labels != -1).tolist()
        alone += place == 4
        parts += place == 2
    check_share(alone, n, 1 / 4)
    check_share(parts, n, 1 / 4)
