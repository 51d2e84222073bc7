"""Jobs beside each other in joblib's processes: the command hears the signals, its jobs follow.

joblib kills its processes, and the ranks below them, as soon as an exception leaves the command or
one of them dies.  So a signal first becomes a file, at which every process ends its job as SIGTERM
would, and leaves the command only when those jobs are saved.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from hydratron.launch.supervision import ENDING, ended_by, handled, sigterm_raises

POLL_SECONDS = 0.25
# A launcher gives its ranks 30 seconds to save.
PATIENCE_SECONDS = 40.0


@dataclass(frozen=True)
class Request:
    """Whether the command was asked to end; the processes of its jobs get this in a pickle."""

    folder: Path
    """The command's own: `asked` lies there once it was, and a file for each job that runs."""
    command: int
    """Its process, in which joblib runs what is not to run beside anything."""

    @property
    def asked(self) -> Path:
        return self.folder / "asked"

    def running(self) -> bool:
        return any(self.folder.glob("running_*"))

    def followed(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a job's `work`, which the request ends as SIGTERM would.

        So does the end of the command, without which nobody would hear of the job.
        """
        if os.getpid() == self.command:
            return work()
        _leave_signals_to_the_command()
        mine = self.folder / f"running_{os.getpid()}"
        try:
            mine.touch()
            with sigterm_raises(), self._watched():
                return work()
        except SystemExit:
            return {"status": "preempted"}
        finally:
            mine.unlink(missing_ok=True)
            self._end_with_the_command()

    def _end_with_the_command(self) -> None:
        """Begin nothing more where it was asked to end, or has ended: joblib's kill comes soon."""
        while self.asked.exists() and not self._gone():
            time.sleep(POLL_SECONDS)
        if self._gone():
            os._exit(1)  # Else it would wait for minutes for a next job.

    def _gone(self) -> bool:
        return os.getppid() != self.command

    @contextmanager
    def _watched(self) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                if self.asked.exists() or self._gone():
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                over.wait(POLL_SECONDS)

        thread = threading.Thread(target=watch, name="request watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _leave_signals_to_the_command() -> None:
    """For good: a process that waits for its next job must neither die nor raise."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    # Not ignored: what runs a job hears it.
    signal.signal(signal.SIGTERM, lambda number, frame: None)


@contextmanager
def heard() -> Iterator[Request]:
    """In the command: a signal ends the jobs, and then the block as `sigterm_raises` does.

    A second Ctrl-C does not wait for them.
    """
    with TemporaryDirectory(prefix="hydratron-") as folder:
        request = Request(Path(folder), os.getpid())

        def ask(number: int, frame: FrameType | None) -> None:
            if not request.asked.exists():
                request.asked.touch()
                deadline = time.monotonic() + PATIENCE_SECONDS
                while request.running() and time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS)
            elif number != signal.SIGINT:
                return
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise ended_by(number)

        with handled((*ENDING, signal.SIGINT), ask):
            yield request
