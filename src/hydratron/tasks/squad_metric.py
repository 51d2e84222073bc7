"""SQuAD's official scores: exact match and F1 of answers as texts (facts, E.1)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


class Score(NamedTuple):
    """Of one answer from 0 to 1, of a set in percent."""

    exact: float
    f1: float


def normalized(text: str) -> str:
    """Lower case, without punctuation, articles and extra white space, in this order."""
    bare = ARTICLES.sub(" ", text.lower().translate(PUNCTUATION))
    return " ".join(bare.split())


def score(said: str, answers: Sequence[str]) -> Score:
    """The best over the right answers; none of them, or none that is more than articles, is ""."""
    golds = [gold for gold in answers if normalized(gold)] or [""]
    return Score(max(exact(said, gold) for gold in golds), max(f1(said, gold) for gold in golds))


def exact(said: str, gold: str) -> float:
    return float(normalized(said) == normalized(gold))


def f1(said: str, gold: str) -> float:
    """Of the words as a multiset; where one side has none, whether both have none."""
    ours, theirs = normalized(said).split(), normalized(gold).split()
    if not ours or not theirs:
        return float(ours == theirs)
    same = sum((Counter(ours) & Counter(theirs)).values())
    if not same:
        return 0.0
    precision, recall = same / len(ours), same / len(theirs)
    return 2 * precision * recall / (precision + recall)


def total(said: Mapping[str, str], answers: Mapping[str, Sequence[str]]) -> Score:
    """In percent over all questions of `answers`, by their ids; each must have been answered."""
    scores = [score(said[name], golds) for name, golds in answers.items()]
    return Score(
        100.0 * sum(one.exact for one in scores) / len(scores),
        100.0 * sum(one.f1 for one in scores) / len(scores),
    )
