"""SQuAD 1.1 and 2.0: passages, questions, and answers by their place in the passage."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydratron.data.labelled.example import HALF, Answer, Example
from hydratron.data.text.records import is_half
from hydratron.errors import DataError, Problem


@dataclass(frozen=True)
class Squad:
    """The JSON of one version; `unanswerable`: whether a question may have no answer.

    What is wrong is told by the place in the file: `data[3].paragraphs[0].qas[7]`.
    """

    name: str
    train: Sequence[str]
    validation: Sequence[str]
    unanswerable: bool
    spans: bool = True
    folders: bool = False

    def files(self, place: Path, key: str) -> list[Path]:
        return [place]

    def read(self, file: Path, skipped: Counter[str]) -> Iterator[Example]:
        try:
            content = json.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError([Problem(str(file), "", f"cannot be read: {error}")]) from error
        places: dict[str, str] = {}
        for at, article in enumerate(_of(content, "data", list, file, "")):
            where = f"data[{at}]"
            for number, paragraph in enumerate(_of(article, "paragraphs", list, file, where)):
                place = f"{where}.paragraphs[{number}]"
                context = _of(paragraph, "context", str, file, place)
                for n, question in enumerate(_of(paragraph, "qas", list, file, place)):
                    asked = f"{place}.qas[{n}]"
                    one = self._question(file, asked, context, question)
                    # The official scores are by id: of two, one would not count.
                    if places.setdefault(one.id, asked) != asked:
                        _refuse(file, asked, f"id {one.id} is that of {places[one.id]} too")
                    yield one

    def _question(self, file: Path, where: str, context: str, content: Any) -> Example:
        text = _of(content, "question", str, file, where).strip()
        impossible = "is_impossible" in content and _of(content, "is_impossible", bool, file, where)
        if impossible and not self.unanswerable:
            _refuse(file, where, "is_impossible: task=squad2 has questions without an answer")
        answers = []
        for n, answer in enumerate(_of(content, "answers", list, file, where)):
            place = f"{where}.answers[{n}]"
            start = _of(answer, "answer_start", int, file, place)
            answers.append(Answer(_of(answer, "text", str, file, place), start))
        if not impossible and not answers:
            _refuse(file, where, "has no answer, and is not said to be is_impossible")
        given = () if impossible else tuple(answers)
        return Example(str(_of(content, "id", object, file, where)), (text, context), answers=given)


def found(context: str, answer: Answer) -> int | None:
    """The character where the answer is: where it is said to be, else the nearest one like it."""
    text = answer.text.strip()
    start = answer.start + len(answer.text) - len(answer.text.lstrip())
    if not text:
        return None
    # Some sets say -1 where they do not know.
    start = max(start, 0)
    if context[start : start + len(text)] == text:
        return start
    before, after = context.rfind(text, 0, start + len(text)), context.find(text, start)
    places = [place for place in (before, after) if place >= 0]
    return min(places, key=lambda place: abs(place - start)) if places else None


def _of(content: Any, key: str, kind: type, file: Path, where: str) -> Any:
    if not isinstance(content, dict) or key not in content:
        _refuse(file, where, f"has no {key}")
    if not isinstance(content[key], kind):
        _refuse(file, where, f"{key} is {type(content[key]).__name__}, not {kind.__name__}")
    if kind is str and is_half(content[key]):
        _refuse(file, where, f"{key}: {HALF}")
    return content[key]


def _refuse(file: Path, where: str, expected: str) -> Any:
    raise DataError([Problem(f"{file}, {where}" if where else str(file), "", expected)])


SQUAD1 = Squad("squad1", ["train-v1.1.json"], ["dev-v1.1.json"], unanswerable=False)
SQUAD2 = Squad("squad2", ["train-v2.0.json"], ["dev-v2.0.json"], unanswerable=True)
