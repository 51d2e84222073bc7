"""One labelled example, whatever file it came from, and how a row that is none is refused."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from hydratron.data.text.records import is_half
from hydratron.errors import DataError, Problem

ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
HALF = "a text has half of a surrogate pair, which is no character"


@dataclass(frozen=True)
class Answer:
    """A text and the character of the passage where it starts."""

    text: str
    start: int


@dataclass(frozen=True)
class Example:
    """`texts` become token sequences in this order; `label` is a class or an option.

    group:   which part of the set it belongs to, of those that are scored apart too; 0 without.
    answers: spans of the last text, for a task that marks one; none where there is no answer.
    """

    id: str
    texts: tuple[str, ...]
    label: int = 0
    group: int = 0
    answers: tuple[Answer, ...] = ()


class Format(Protocol):
    """The official files of one task.

    train, validation: their names in the folder that `data.path` names; of `validation` those that
    are there.  spans: whether the label is a span of the last text.  folders: whether each of the
    names may be a folder of files.
    """

    name: str
    train: Sequence[str]
    validation: Sequence[str]
    spans: bool
    folders: bool

    def files(self, place: Path, key: str) -> list[Path]:
        """The files of one of these names, or of what is named by the option `key`, which may be a
        folder of them."""

    def read(self, file: Path, skipped: Counter[str]) -> Iterator[Example]:
        """The examples of a file; counts those that are left out by the reason.

        Raises DataError with the file and the row of what cannot be read.
        """


def refuse(file: Path, row: int, expected: str, value: object = "") -> NoReturn:
    """The one line for a row, counted from 1."""
    raise DataError([Problem(f"{file}, row {row}", value, expected)])


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """(row, text) of a UTF-8 file, without a byte order mark and the ends of lines."""
    try:
        with file.open("rb") as content:
            for row, line in enumerate(content, 1):
                try:
                    text = line.decode("utf-8-sig" if row == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    refuse(file, row, f"not UTF-8 at byte {error.start} of the row")
                yield row, text.rstrip("\r\n")
    except OSError as error:
        raise DataError([Problem("data.path", file, error.strerror or str(error))]) from error


def parsed(file: Path, row: int, text: str) -> Any:
    """The JSON of a row, whose texts are texts."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        refuse(file, row, f"not JSON: {error}")
    if ESCAPED.search(text) and is_half(json.dumps(content, ensure_ascii=False)):
        refuse(file, row, HALF)
    return content


def clean(text: str) -> str:
    """Megatron-LM's cleaning: no newlines, single spaces, and sentences end in "." (facts, E.2)."""
    text = " ".join(text.split())
    for _ in range(3):
        text = text.replace(" . ", ". ")
    return text
