"""From the logits of windows to one answer for each question (facts, E.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hydratron.data.samples.labelled import SpanSamples
from hydratron.tasks.squad_metric import score

N_BEST, LONGEST_ANSWER = 20, 30
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answered:
    """`best` text, and by how much "no answer" is above it, in sums of logits."""

    id: str
    answers: Sequence[str]
    best: str
    null_odds: float
    n_best: Sequence[tuple[str, float]]


class Threshold(NamedTuple):
    """The null threshold with the highest F1 (percent) on these questions."""

    threshold: float
    f1: float


def answered(samples: SpanSamples, both: Floats) -> list[Answered]:
    """Of every question whose windows are among the first of `both`, [windows, 2, s]."""
    windows: dict[int, list[int]] = {}
    for window, example in enumerate(samples.windows[: len(both), 0].tolist()):
        windows.setdefault(example, []).append(window)
    return [_answer(samples, both, example, inside) for example, inside in windows.items()]


def _answer(samples: SpanSamples, both: Floats, example: int, windows: list[int]) -> Answered:
    described = samples.examples.described[example]
    offsets, passage = samples.examples.offsets(example), described["passage"]
    ranked = sorted(
        (found for window in windows for found in _candidates(samples, both[window], window)),
        key=lambda found: -found[0],
    )
    texts: dict[str, float] = {}
    for total, start, end in ranked:
        text = passage[offsets[start, 0] : offsets[end, 1]]
        texts.setdefault(text, total)
        if len(texts) == N_BEST:
            break
    best, above = next(iter(texts.items()), ("", 0.0))  # as in BERT's code
    null = min(both[window, 0, 0] + both[window, 1, 0] for window in windows)
    odds = float(null - above)
    return Answered(described["id"], described["answers"], best, odds, list(texts.items()))


def _candidates(
    samples: SpanSamples, logits: Floats, window: int
) -> Iterator[tuple[float, int, int]]:
    """(sum of logits, first token, last token of the passage) of spans of a window, `logits`
    [2, s]."""
    example, first, length = samples.windows[window].tolist()
    before = samples.before(example)
    inside = logits[:, before : before + length]
    # Of the best places of the whole window, those in the passage; the sort is stable.
    starts, ends = (
        [place - before for place in np.argsort(-row, kind="stable")[:N_BEST].tolist()]
        for row in logits
    )
    own = {start for start in starts if 0 <= start < length}
    own = {start for start in own if _most_context(samples, example, first + start) == window}
    for start in (s for s in starts if s in own):
        for end in ends:
            if start <= end < min(length, start + LONGEST_ANSWER):
                yield float(inside[0, start] + inside[1, end]), first + start, first + end


def _most_context(samples: SpanSamples, example: int, token: int) -> int:
    """The window in which a token of the passage has most on both sides; the first on ties."""
    low, high = np.searchsorted(samples.windows[:, 0], [example, example + 1]).tolist()
    if high - low == 1:
        return low
    best, found = -1.0, low
    for window in range(low, high):
        _, first, length = samples.windows[window].tolist()
        if first <= token < first + length:
            context = min(token - first, first + length - 1 - token) + 0.01 * length
            if context > best:
                best, found = context, window
    return found


def best_threshold(found: Sequence[Answered]) -> Threshold:
    """As the official script finds it: from always "" on, question by question by its odds."""
    current = float(sum(not one.answers for one in found))
    best, threshold = current, 0.0
    for one in sorted(found, key=lambda one: one.null_odds):
        if one.answers:
            current += score(one.best, one.answers).f1
        elif one.best:
            current -= 1
        if current > best:
            best, threshold = current, one.null_odds
    return Threshold(threshold, 100.0 * best / len(found))
