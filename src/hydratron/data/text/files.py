"""Input files: what their names say, and their bytes, hashed and unpacked while they are read."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from hydratron.errors import DataError, Problem

PACKED = (".gz", ".xz", ".zst")
KINDS = (".txt", ".jsonl", ".parquet")
EXPECTED = "a .txt, .jsonl (also .gz, .xz, .zst) or .parquet file, or a folder of them"
READ_BYTES = 1 << 20
# `zstd --long=31` and less.
LARGEST_WINDOW = 1 << 31

Advance = Callable[[int], None]
"""Told how many bytes of the files on disk have been read since the last call."""


@dataclass(frozen=True)
class InputFile:
    """A file and its name: its path inside the folder that the user named."""

    name: str
    path: Path

    @property
    def kind(self) -> str:
        """`.txt`, `.jsonl` or `.parquet`; empty when it is none of them."""
        return kind_of(self.path)

    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size


def kind_of(path: Path) -> str:
    """What is in a file, from its name without `.gz`, `.xz` or `.zst`; empty for anything else."""
    packed = path.suffix.lower() in PACKED
    kind = (path.with_suffix("") if packed else path).suffix.lower()
    return kind if kind in KINDS and not (packed and kind == ".parquet") else ""


class Reader:
    """The unpacked bytes of one file; `sha256` is of the bytes on disk, known at the end."""

    def __init__(self, raw: IO[bytes], path: Path, advance: Advance) -> None:
        self._path = path
        self._disk = _Watched(raw, advance)
        self._file = _unpacked(self._disk, path.suffix.lower())

    def read(self, size: int = READ_BYTES) -> bytes:
        """Up to `size` bytes, none at the end; DataError when the file is damaged."""
        try:
            return self._file.read(size)
        except EOFError:
            refuse(self._path, "ends too early; the file is truncated")
        except (OSError, lzma.LZMAError, zlib.error) as error:
            refuse(self._path, f"cannot be read: {getattr(error, 'strerror', None) or error}")

    def sha256(self) -> str:
        """The hash of the whole file, whatever was read of it."""
        while self._disk.read(READ_BYTES):
            pass
        return self._disk.digest.hexdigest()


@contextmanager
def open_file(path: Path, advance: Advance) -> Iterator[Reader]:
    """A reader of one file; DataError when it cannot be opened."""
    try:
        raw = path.open("rb")
    except OSError as error:
        refuse(path, f"cannot be read: {error.strerror}")
    with raw:
        yield Reader(raw, path, advance)


def input_sha256(path: Path, advance: Advance) -> str:
    """The hash of a file's bytes on disk."""
    with open_file(path, advance) as reader:
        return reader.sha256()


def refuse(place: object, expected: str) -> NoReturn:
    """The one line for a file, or a line of it, that cannot be used."""
    raise DataError([Problem(str(place), "", expected)])


class _Watched(io.RawIOBase):
    """The bytes on disk, hashed and counted as they pass."""

    def __init__(self, raw: IO[bytes], advance: Advance) -> None:
        self._raw = raw
        self._advance = advance
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count: int = self._raw.readinto(buffer)  # type: ignore[attr-defined]
        self.digest.update(memoryview(buffer)[:count])
        self._advance(count)
        return count


class _Zstandard(io.RawIOBase):
    """Unpacks frame after frame; EOFError when the last one is cut, which the library lets pass."""

    def __init__(self, packed: io.RawIOBase) -> None:
        import zstandard

        self._packed = packed
        self._unpacker = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        self._error = zstandard.ZstdError
        self._frame: Any = None
        self._waiting = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if not self._waiting:
                self._waiting = self._packed.read(READ_BYTES // 8) or b""
            if not self._waiting:
                if self._frame is not None:
                    raise EOFError
                return 0
            self._unpack()
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _unpack(self) -> None:
        if self._frame is None:
            self._frame = self._unpacker.decompressobj()
        try:
            self._ready = memoryview(self._frame.decompress(self._waiting))
        except self._error as error:
            raise OSError(str(error)) from error
        self._waiting = b""
        if self._frame.eof:
            self._waiting, self._frame = self._frame.unused_data, None


def _unpacked(disk: _Watched, suffix: str) -> IO[bytes]:
    buffered = io.BufferedReader(disk, READ_BYTES)
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=buffered)  # type: ignore[return-value]
    if suffix == ".xz":
        return lzma.open(buffered)
    if suffix == ".zst":
        return io.BufferedReader(_Zstandard(disk), READ_BYTES)
    return buffered
