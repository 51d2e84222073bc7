"""SQuAD's official scores, and how the windows of a passage become one answer."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hydratron.tasks.answers import answered, best_threshold
from hydratron.tasks.squad_metric import score, total

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"

GOLDEN = [
    ("The Eiffel Tower", "eiffel tower!", 1, 1),
    ("1,000", "1000", 1, 1),
    ("a b c d", "b c e", 0, 0.6666666666666666),
    ("", "the", 1, 1),
    ("Café", "Cafe", 0, 0),
    ("10 km.", "10km", 0, 0),
]


@pytest.mark.parametrize(("said", "gold", "exact", "f1"), GOLDEN)
def test_official_scores_of_single_answers(said: str, gold: str, exact: float, f1: float) -> None:
    assert score(said, [gold]) == (exact, f1)


def test_the_best_gold_counts_and_no_gold_is_the_empty_answer() -> None:
    assert score("two words", ["none", "words"]).f1 == pytest.approx(2 / 3)
    assert score("", []) == (1, 1)
    assert score("word", []) == (0, 0)


def questions() -> list[dict[str, Any]]:
    file = SHARED / "eval" / "squad2-dev-part.json"
    if not file.is_file():
        pytest.skip("needs the shared part of SQuAD 2.0")
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    return [q for article in articles for p in article["paragraphs"] for q in p["qas"]]


def test_official_scores_of_a_whole_set() -> None:
    found = questions()
    golds = {q["id"]: [answer["text"] for answer in q["answers"]] for q in found}
    first = {name: next(iter(texts), "") for name, texts in golds.items()}
    for said, exact, f1 in (
        (dict.fromkeys(golds, ""), 52.122409, 52.122409),
        (first, 100.0, 100.0),
        ({n: next(iter(text.split()), "") for n, text in first.items()}, 70.582428, 83.276582),
        ({q["id"]: q["question"] for q in found}, 0.0, 2.894676),
    ):
        assert [round(value, 6) for value in total(said, golds)] == [exact, f1]


PASSAGE = "one two three four five six"


def windows(rows: list[tuple[int, int, int]]) -> Any:
    """Samples of one question about PASSAGE, with two tokens before each window."""
    ends = np.cumsum([len(word) + 1 for word in PASSAGE.split()])
    starts = np.concatenate([[0], ends[:-1]])
    offsets = np.stack([starts, ends - 1], axis=1)
    described = [{"id": "q", "answers": ["two three"], "passage": PASSAGE}]
    examples = SimpleNamespace(described=described, offsets=lambda example: offsets)
    return SimpleNamespace(windows=np.array(rows), examples=examples, before=lambda example: 2)


def logits(length: int, start: dict[int, float], end: dict[int, float]) -> Any:
    both = np.full((2, length), -5.0)
    for row, values in enumerate((start, end)):
        for place, value in values.items():
            both[row, place] = value
    return both


def test_an_answer_is_the_best_pair_inside_the_passage() -> None:
    samples = windows([(0, 0, 6)])
    # Best of all: a place of the question; then an end before its start.
    one = logits(9, {1: 9.0, 3: 4.0, 7: 5.0}, {4: 4.0, 2: 3.0, 8: 9.0, 0: 1.0})
    (found,) = answered(samples, one[None])
    assert found.best == "two three"
    assert found.null_odds == pytest.approx((-5 + 1) - 8)


def test_a_start_counts_in_the_window_where_it_has_most_context() -> None:
    samples = windows([(0, 0, 4), (0, 2, 4)])
    # "three" (2) has one token after it in the first window, none before it in the second.
    first = logits(8, {4: 1.0}, {5: 1.0, 0: -1.0})
    second = logits(8, {2: 9.0, 5: 2.0}, {3: 9.0, 5: 2.0, 0: -3.0})
    (found,) = answered(samples, np.stack([first, second]))
    assert found.best == "six"
    # The least of both windows stands for "no answer".
    assert found.null_odds == pytest.approx((-5 - 3) - 4)


def test_the_best_threshold_is_found_between_the_questions() -> None:
    def one(name: str, golds: list[str], best: str, odds: float) -> Any:
        return SimpleNamespace(id=name, answers=golds, best=best, null_odds=odds)

    found = [one("a", ["x"], "x", -3.0), one("b", [], "y", 2.0), one("c", ["z"], "z", 1.0)]
    assert best_threshold(found) == (1.0, 100.0)
