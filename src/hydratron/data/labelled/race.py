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

    def files(self, place: Path) -> list[Path]:
        if place.is_file():
            return [place]
        found = sorted(file for file in place.rglob("*.txt") if file.is_file())
        if not found:
            raise DataError([Problem("data.path", place, "holds no .txt file of RACE")])
        return found

    def read(self, file: Path, skipped: Counter[str]) -> Iterator[Example]:
        for row, line in lines(file):
            if not line.strip():
                continue
            content = parsed(file, row, line)
            if not isinstance(content, dict):
                refuse(file, row, "an object with article, questions, options and answers")
            if "questions" not in content and "question" in content:
                single = ("question", "options", "answer")
                content = content | {f"{k.removesuffix('s')}s": [content.get(k)] for k in single}
            yield from self._passage(file, row, content)

    def _passage(self, file: Path, row: int, content: dict[str, Any]) -> Iterator[Example]:
        for key, kind in (
            ("article", str),
            ("questions", list),
            ("options", list),
            ("answers", list),
        ):
            if not isinstance(content.get(key), kind):
                refuse(file, row, f"has no {key}" if key not in content else f"{key} is no {kind}")
        questions, options, answers = (content[k] for k in ("questions", "options", "answers"))
        if not len(questions) == len(options) == len(answers):
            told = f"{len(questions)} questions, {len(options)} options, {len(answers)} answers"
            refuse(file, row, f"has {told}; as many of each are expected")
        name = str(content.get("id") or content.get("example_id") or file.name)
        group = int(HIGH in name or file.parent.name == HIGH)
        article = clean(content["article"])
        for number, (question, four, answer) in enumerate(
            zip(questions, options, answers, strict=True)
        ):
            label = answer if isinstance(answer, int) else _letter(answer)
            if label not in range(len(ANSWERS)):
                refuse(file, row, f"one of {', '.join(ANSWERS)} is expected", f"answer {answer}")
            if not isinstance(four, list) or len(four) != len(ANSWERS):
                refuse(file, row, f"question {number + 1} has not {len(ANSWERS)} options")
            texts = tuple(joined(str(question), str(option)) for option in four)
            yield Example(f"{name}:{number}", (*texts, article), label, group)


def joined(question: str, option: str) -> str:
    """The option in the gaps of the question, or after it."""
    filled = question.replace(BLANK, option) if BLANK in question else f"{question} {option}"
    return clean(filled)


def _letter(answer: object) -> int:
    return ANSWERS.index(answer) if answer in ANSWERS else -1


RACE = Race()
