"""How far a job is, in words: for its bar, and as lines in a pipe or a cluster's log.

Needs no rich, which a machine that only runs ranks may lack.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from hydratron.job import JobFolder
from hydratron.launch.history import last_row

# Lines come at first so often, then after a tenth of the time so far, then so rarely, in seconds.
OFTEN, SHARE, RARELY = 30.0, 0.1, 600.0
POLL_SECONDS = 1.0


class Pace:
    """The time left of a job, from the rows that it writes.

    By the job's own clock, which counts on over a resume and knows of no other jobs.
    """

    def __init__(self, max_steps: int) -> None:
        self._max_steps = max_steps
        self._first: dict[str, Any] | None = None

    def text(self, row: dict[str, Any]) -> list[str]:
        """`step 20/160`, `loss 5.123`, `3,210 tokens/s`, `about 2 min left`: what is known."""
        step = int(row["step"])
        parts = [f"step {step}/{self._max_steps}"]
        if is_number(row.get("epoch")):
            parts.append(f"epoch {row['epoch']:.2f}")
        if is_number(row.get("train/loss")):
            parts.append(f"loss {row['train/loss']:.3f}")
        if is_number(row.get("perf/tokens_per_second")):
            parts.append(f"{row['perf/tokens_per_second']:,.0f} tokens/s")
        left = self._seconds_left(row, step)
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return parts

    def _seconds_left(self, row: dict[str, Any], step: int) -> float | None:
        """Seconds of a step since the first row seen * steps left; None before a second row."""
        if not is_number(row.get("seconds")):
            return None
        if self._first is None or step < self._first["step"]:  # Started anew, from a checkpoint.
            self._first = row
        steps = step - int(self._first["step"])
        seconds = float(row["seconds"]) - float(self._first["seconds"])
        return seconds / steps * (self._max_steps - step) if steps > 0 else None


class Lines:
    """A line for a job's first row, for its last step, and now and then in between."""

    def __init__(self, name: str, max_steps: int, file: IO[str]) -> None:
        self._name, self._max_steps, self._file = name, max_steps, file
        self._pace = Pace(max_steps)
        self._began: float | None = None
        self._due, self._step = 0.0, 0

    def see(self, row: dict[str, Any], now: float) -> None:
        """A row, again or a new one, at the time `now` of a clock that does not jump."""
        if row["step"] == self._step:
            return
        self._step = row["step"]
        text = ", ".join(self._pace.text(row))
        if self._began is None:
            self._began = self._due = now
        if now >= self._due or self._step >= self._max_steps:
            # Nobody may be there to read it, which is no reason to end a job.
            with suppress(OSError):
                print(f"{self._name}: {text}", file=self._file, flush=True)
            self._due = now + min(RARELY, max(OFTEN, SHARE * (now - self._began)))


class News:
    """The newest row of the job in `folder` that no earlier attempt has left there."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder, self._before = folder, last_row(folder)

    def row(self) -> dict[str, Any] | None:
        row = last_row(self._folder)
        return row if row.get("step") and row != self._before else None


@contextmanager
def told(folder: JobFolder, max_steps: int) -> Iterator[None]:
    """While the block runs, lines of the job in `folder` on stderr, for a rank without launcher."""
    lines, news, stop = Lines(folder.name, max_steps, sys.stderr), News(folder), threading.Event()

    def look() -> None:
        with suppress(OSError):
            if row := news.row():
                lines.see(row, time.monotonic())

    def watch() -> None:
        while not stop.wait(POLL_SECONDS):
            look()

    thread = threading.Thread(target=watch, name="progress lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        look()


def duration(seconds: float) -> str:
    """`24 s`, `2 min`, `3.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float))
