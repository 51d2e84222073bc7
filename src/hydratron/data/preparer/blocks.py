"""Input as blocks of about a megabyte, each enough for one task of a process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hydratron.data.text.cutting import Cut
from hydratron.data.text.files import Advance, InputFile, input_sha256, open_file
from hydratron.data.text.records import line_blocks, parquet_rows, parse_lines, text_chunks
from hydratron.data.text.sources import read_text

BLOCK_CHARACTERS = 1 << 20


class Fragment(NamedTuple):
    """Text of one dataset, given by its number, and whether a document ends with it."""

    dataset: int
    text: str
    ends: bool


@dataclass(frozen=True)
class Texts:
    """Whole documents, each with the number of its dataset."""

    documents: Sequence[tuple[int, str]]

    @property
    def bytes(self) -> int:
        return sum(len(text.encode()) for _, text in self.documents)

    def read(self) -> Iterable[tuple[int, str]]:
        return self.documents


@dataclass(frozen=True)
class Lines:
    """Whole JSON lines as they lie in the file, whose key number i is of dataset i."""

    path: Path
    first: int
    content: bytes
    keys: Sequence[str]

    @property
    def bytes(self) -> int:
        return len(self.content)

    def read(self) -> Iterable[tuple[int, str]]:
        lines = parse_lines(self.path, self.first, self.content, self.keys)
        return (pair for texts in lines for pair in enumerate(texts))


@dataclass(frozen=True)
class Part:
    """A piece of one long document; nothing else comes between its parts."""

    fragment: Fragment

    @property
    def bytes(self) -> int:
        return len(self.fragment.text.encode())


Block = Texts | Lines | Part


def gather(items: Iterable[Fragment | Lines]) -> Iterator[Block]:
    """The same documents in the same order, small ones together."""
    documents: list[tuple[int, str]] = []
    characters = 0
    inside = False
    for item in items:
        alone = isinstance(item, Lines) or inside or not item.ends
        if documents and (alone or characters >= BLOCK_CHARACTERS):
            yield Texts(documents)
            documents, characters = [], 0
        if isinstance(item, Lines):
            yield item
        elif alone:
            yield Part(item)
            inside = not item.ends
        else:
            documents.append((item.dataset, item.text))
            characters += len(item.text)
    if documents:
        yield Texts(documents)


def file_blocks(
    files: Iterable[InputFile], keys: Sequence[str], cut: Cut, advance: Advance, seen: list[str]
) -> Iterator[Block]:
    """The blocks of all files; the SHA-256 of each file is appended to `seen` once it is read."""
    return gather(item for file in files for item in _read(file, keys, cut, advance, seen))


def _read(
    file: InputFile, keys: Sequence[str], cut: Cut, advance: Advance, seen: list[str]
) -> Iterator[Fragment | Lines]:
    if file.kind == ".parquet":
        seen.append(input_sha256(file.path, lambda _: None))
        for row in parquet_rows(file.path, keys, advance):
            yield from (Fragment(i, text, True) for i, text in enumerate(row))
        return
    with open_file(file.path, advance) as reader:
        if file.kind == ".txt":
            for piece in read_text(text_chunks(reader, file.path), cut, file.path):
                yield Fragment(0, *piece)
        else:
            for first, content in line_blocks(reader, file.path):
                yield Lines(file.path, first, content, keys)
        seen.append(reader.sha256())
