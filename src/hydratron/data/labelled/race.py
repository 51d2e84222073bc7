"""RACE: folders of passages with questions of four options; also one question a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydratron.data.labelled.example import Example, clean, lines, parsed, refuse
from hydratron.errors import DataError, Problem

ANSWERS = ("A", "B", "C", "D")
BLANK = "_"
MIDDLE, HIGH = "middle", "high"


@dataclass(frozen=True)
class Race:
    """`train/` and `dev/`, with `middle/` and `high/` inside: group 0 and 1.

    A row is a passage: {article, questions, options, answers}; or a question with `question`,
    `options` and `answer` in the singular.
    """

    name: str = "race"
    train: Sequence[str] = ("train",)
    validation: Sequence[str] = ("dev",)
    spans: bool = False
    folders: bool = True

    def files(self, place: Path, key: str) -> list[Path]:
        if place.is_file():
            return [place]
        found = sorted(file for file in place.rglob("*.txt") if file.is_file())
        if not found:
            raise DataError([Problem(key, place, "holds no .txt file of RACE")])
        return found

    def read(self, file: Path, skipped: Counter[str]) -> Iterator[Example]:
        for row, line in lines(file):
            if not line.strip():
                continue
            content = parsed(file, row, line)
            if not isinstance(content, dict):
                refuse(file, row, "an object with article, questions, options and answers")
            name = str(content.get("id") or content.get("example_id") or _place(file))
            if "questions" not in content and "question" in content:
                single = ("question", "options", "answer")
                content = content | {f"{k.removesuffix('s')}s": [content.get(k)] for k in single}
            # Questions of one passage on rows of their own share its name.
            name = name if row == 1 else f"{name}:{row}"
            yield from self._passage(file, row, name, content)

    def _passage(
        self, file: Path, row: int, name: str, content: dict[str, Any]
    ) -> Iterator[Example]:
        for key, kind in (
            ("article", str),
            ("questions", list),
            ("options", list),
            ("answers", list),
        ):
            if not isinstance(content.get(key), kind):
                given = type(content.get(key)).__name__
                told = f"has no {key}" if key not in content else f"{key} is {given}"
                refuse(file, row, f"{told}; {kind.__name__} is expected")
        questions, options, answers = (content[k] for k in ("questions", "options", "answers"))
        if not len(questions) == len(options) == len(answers):
            told = f"{len(questions)} questions, {len(options)} options, {len(answers)} answers"
            refuse(file, row, f"has {told}; as many of each are expected")
        group = int(HIGH in name or file.parent.name == HIGH)
        article = clean(content["article"])
        for number, (question, four, answer) in enumerate(
            zip(questions, options, answers, strict=True)
        ):
            label = answer if type(answer) is int else _letter(answer)
            if label not in range(len(ANSWERS)):
                refuse(file, row, f"one of {', '.join(ANSWERS)} is expected", f"answer {answer}")
            asked = f"question {number + 1}"
            if not isinstance(four, list) or len(four) != len(ANSWERS):
                told = f"has {len(four)} options" if isinstance(four, list) else "has no options"
                refuse(file, row, f"{asked} {told}; {len(ANSWERS)} are expected")
            if not all(isinstance(text, str) for text in (question, *four)):
                refuse(file, row, f"{asked} and its options are not all texts")
            texts = tuple(joined(question, option) for option in four)
            yield Example(f"{name}:{number}", (*texts, article), label, group)


def _place(file: Path) -> str:
    """What a passage without a name is called; middle/ and high/ number theirs alike."""
    return f"{file.parent.name}/{file.name}"


def joined(question: str, option: str) -> str:
    """The option in the gaps of the question, or after it."""
    filled = question.replace(BLANK, option) if BLANK in question else f"{question} {option}"
    return clean(filled)


def _letter(answer: object) -> int:
    return ANSWERS.index(answer) if answer in ANSWERS else -1


RACE = Race()
