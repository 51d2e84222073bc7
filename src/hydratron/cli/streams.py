"""Standard streams that are closed from the start (`>&-`, some daemons), or that nobody reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


def open_closed() -> None:
    """Open those that are closed, to nowhere, for this process and those that it starts.

    Otherwise the next file or socket takes the place of one, and what is printed goes into it.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # The lowest that is free: this one.
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            mode = "w" if descriptor else "r"
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, cast(TextIO, stream))


@contextmanager
def read_or_not() -> Iterator[None]:
    """What is printed in this block goes nowhere once its reader (`head`, a pager) has gone.

    Hours of training are worth more than who watched them begin.
    """
    before = sys.stdout, sys.stderr
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _ReadOrNot):
            setattr(sys, name, cast(TextIO, _ReadOrNot(stream)))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _ReadOrNot:
    """A stream that leads to nowhere from the first write on that nobody reads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._lead_nowhere()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._lead_nowhere()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lead_nowhere(self) -> None:
        # The descriptor itself, which the ranks' own output and the interpreter's end use too.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
