"""The hash of a file while it is written: a thread reads behind the writer, out of memory.

SHA-256 takes longer than the copying, and as long as the disk: beside both it costs least, on
cores that are idle then.  The file is read, not the writer's buffers: they are gone when `write`
returns.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

PIECE = 1 << 20


class Followed(io.FileIO):
    """A new file, written from its begin to its end, that is hashed meanwhile."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")
        self._written, self._ended = 0, False
        self._more = threading.Condition()
        self._hash = hashlib.sha256()
        self._error: OSError | None = None
        self._reader = os.open(path, os.O_RDONLY)
        self._thread = threading.Thread(target=self._follow, name=f"sha256 of {path.name}")
        self._thread.start()

    def write(self, piece: Any) -> int:
        count = super().write(piece)
        with self._more:
            self._written += count
            self._more.notify()
        return count

    def fingerprint(self) -> dict[str, Any]:
        """Size in bytes and sha256 of all that was written; nothing may be written thereafter."""
        self._end()
        if self._error is not None:
            raise self._error
        return {"bytes": self._written, "sha256": self._hash.hexdigest()}

    def close(self) -> None:
        if not self.closed:
            self._end()
        super().close()

    def _end(self) -> None:
        with self._more:
            self._ended = True
            self._more.notify()
        self._thread.join()

    def _behind(self, read: int) -> int:
        """Bytes that can be read, as soon as they are many or the last; 0 at the end."""
        with self._more:
            while not self._ended and self._written - read < PIECE:
                self._more.wait()
            return self._written - read

    def _follow(self) -> None:
        read = 0
        try:
            while True:
                behind = self._behind(read)
                if not behind:
                    return
                piece = os.pread(self._reader, min(behind, PIECE), read)
                if not piece:
                    raise OSError(f"the file ends at {read} of {self._written} bytes")
                self._hash.update(piece)
                read += len(piece)
        except OSError as error:
            self._error = error
        finally:
            os.close(self._reader)


@contextmanager
def followed(path: Path, prints: dict[str, dict[str, Any]]) -> Iterator[IO[bytes]]:
    """A stream into the new file `path`; at the end `prints` has its size and hash by its name."""
    with Followed(path) as raw:
        with io.BufferedWriter(raw, PIECE) as stream:
            yield cast(IO[bytes], stream)
        prints[path.name] = raw.fingerprint()
