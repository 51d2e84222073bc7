"""Where a long text can be cut so that its pieces have the tokens or sentences of the whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from hydratron.data.text.files import refuse

# Where GPT-2's and BERT's tokenizers always start a new word.
BOUNDARY = re.compile(r"(?<=\S)(?=[ \n])")
# A sentence never goes on after an empty line.
PARAGRAPH = re.compile(r"(?<=\S)(?=\n\n)")
# A text without an empty line for so long is cut at a space, for the sake of memory.
LONGEST_PARAGRAPH = 1 << 22
# No language has such words, and a tokenizer takes a hundred bytes for each letter of one.
LONGEST_WORD = 1 << 22

Cut = Callable[[str, int], int]
"""(text, start) -> the first place from `start` on where the text can be cut, or its length."""


class Piece(NamedTuple):
    """A part of a document, and whether the document ends with it."""

    text: str
    ends: bool


def next_boundary(text: str, start: int) -> int:
    """The first place from `start` on where text can be cut without changing a token."""
    if start == 0:
        return 0
    found = BOUNDARY.search(text, start)
    return found.start() if found else len(text)


def next_paragraph(text: str, start: int) -> int:
    """The first place from `start` on where text can be cut without changing a sentence."""
    found = PARAGRAPH.search(text, start)
    end = found.start() if found else len(text)
    return end if end <= LONGEST_PARAGRAPH else next_boundary(text, max(start, LONGEST_PARAGRAPH))


def no_cut(text: str, start: int) -> int:
    """For a tokenizer whose words are not known to end at spaces: the text stays whole."""
    return len(text)


def check_words(text: str, place: str | Path) -> None:
    """Raise DataError where a whole text has a word without end."""
    if len(text) > LONGEST_WORD and max(map(len, text.split()), default=0) > LONGEST_WORD:
        refuse_word(place)


def refuse_word(place: str | Path) -> NoReturn:
    refuse(place, f"a word of more than {LONGEST_WORD:,} letters is no text; leave it out")


def cut_stream(
    chunks: Iterable[str], cut: Cut, length: int, place: str | Path = "text"
) -> Iterator[Piece]:
    """One document as pieces of about `length` characters, whatever the sizes of its chunks.

    Raises DataError, with the `place` of the text, for a word without end.
    """
    text, searched = "", length
    for chunk in chunks:
        text += chunk
        # A place at the very end is none: what follows decides.
        while len(text) > searched and (end := cut(text, searched)) < len(text):
            yield Piece(text[:end], False)
            text, searched = text[end:], length
        if len(text) > length + LONGEST_WORD and cut is not no_cut:
            refuse_word(place)
        # Without one so far, the search goes on where it stopped.
        searched = max(length, len(text) - 1)
    yield Piece(text, True)
