"""What ranks and launchers owe each other: own logs, and an end in order when either is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType

from hydratron.job import JobFolder

TRAIN = "hydratron.training.train:train"


def rank_log(folder: JobFolder, rank: int) -> Path:
    """Where the output of a rank goes."""
    return folder.path / "logs" / f"rank_{rank}.log"


def redirect_output(folder: JobFolder, rank: int) -> None:
    """Send this process's stdout and stderr, its libraries' and children's too, to the log."""
    path = rank_log(folder, rank)
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def end_with_launcher(descriptor: int) -> None:
    """End this process at once when `descriptor`, held open by the launcher, closes."""

    def watch() -> None:
        wait([descriptor])
        os._exit(1)

    threading.Thread(target=watch, name="launcher watch", daemon=True).start()


def remove_empty_logs(folder: JobFolder) -> None:
    """Ranks are silent when nothing went wrong: then no log folder stays behind."""
    logs = folder.path / "logs"
    for path in logs.glob("*.log"):
        if path.stat().st_size == 0:
            path.unlink(missing_ok=True)
    with suppress(OSError):  # Another host's, or none.
        logs.rmdir()


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that the ranks are ended in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_exit(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, raise_exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
