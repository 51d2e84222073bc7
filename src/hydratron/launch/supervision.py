"""What ranks and launchers owe each other: own logs, and an end in order when either is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType

from hydratron.job import SIGNALLED, JobFolder

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
TRAIN = "hydratron.training.train:train"


def rank_log(folder: JobFolder, rank: int) -> Path:
    """Where the output of a rank goes."""
    return folder.path / "logs" / f"rank_{rank}.log"


def agent_log(folder: JobFolder, node: int = 0) -> Path:
    """Where the output of a host's torchrun goes."""
    return folder.path / "logs" / f"torchrun_{node}.log"


def stamp(path: Path) -> tuple[int, int] | None:
    """Changes when the file is written anew; None without one."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


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


def remove_logs(folder: JobFolder, node: int, empty: bool = False) -> None:
    """Remove the ranks' logs and those of the host `node`'s torchrun, or those that are empty.

    Another host's torchrun still writes its own.  Without a log no folder stays behind.
    """
    for path in [*folder.path.glob("logs/rank_*.log"), agent_log(folder, node)]:
        with suppress(FileNotFoundError):
            if not empty or path.stat().st_size == 0:
                path.unlink()
    with suppress(OSError):
        (folder.path / "logs").rmdir()


@contextmanager
def handled(
    numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """The signals have this handler in the block; what is ignored (nohup) stays ignored.

    Nothing happens in another than the main thread, which alone can set handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def ended_by(number: int) -> SystemExit:
    """What ends a launcher at one of the signals `ENDING`; SIGUSR1 has a code of its own."""
    return SystemExit(SIGNALLED + (number if number == signal.SIGUSR1 else signal.SIGTERM))


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that the ranks are ended in order.

    SIGHUP, of a terminal that is closed, does the same, and so does SIGUSR1, by which a scheduler
    says that the time is nearly over.  The first is enough: another, which may come from the same
    scheduler, does not take from the ranks the time to save.
    """

    def raise_exit(number: int, frame: FrameType | None) -> None:
        for other in ENDING:
            signal.signal(other, signal.SIG_IGN)
        raise ended_by(number)

    with handled(ENDING, raise_exit):
        yield
