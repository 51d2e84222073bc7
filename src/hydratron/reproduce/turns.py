"""Training programs that take turns: each stands still (SIGSTOP) while another one has the machine.

A contender is whatever leaves rows with `step` and `seconds` in a metrics.jsonl, so that a job of
`hydratron train` is measured as it is, and its peers in the same way.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hydratron.errors import HydratronError

START_SECONDS, TURN_SECONDS, POLL_SECONDS = 600.0, 300.0, 0.02
LOG = "output.log"


class Turn(NamedTuple):
    """What a turn showed of the steps that lay wholly in it."""

    ms: float
    """Of one step."""
    steps: int


class Contender:
    """The processes of one contender, one per command, in a process group of their own.

    They run from the start until `stop`, then in turns, until `end`.  `rows` are all that they have
    written to `file`; what they say goes to output.log in `folder`.
    """

    def __init__(
        self,
        name: str,
        commands: Sequence[Sequence[str]],
        environment: Mapping[str, str],
        folder: Path,
        file: Path,
    ) -> None:
        self.name, self.folder, self.file = name, folder, file
        self.rows: list[dict[str, Any]] = []
        self._offset = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with (folder / LOG).open("wb") as log:
                for command in commands:
                    self._processes.append(
                        subprocess.Popen(
                            command,
                            env=dict(environment),
                            stdin=subprocess.DEVNULL,
                            stdout=log,
                            stderr=log,
                            # One group for all of them, which the first one leads.
                            process_group=self._processes[0].pid if self._processes else 0,
                            preexec_fn=_end_with_parent,
                        )
                    )
        except BaseException:
            self.end()
            raise

    def warm_up(self, steps: int) -> None:
        """Let it start and take so many steps, and stop it.

        Raises HydratronError, with the last line that it said, when it ends instead.
        """
        self._wait(lambda rows: bool(rows) and rows[-1]["step"] >= steps, START_SECONDS)
        self.stop()

    def turn(self, steps: int) -> Turn:
        """Let it go on for at least so many whole steps, and stop it; raises as `warm_up` does."""
        self._read()
        before = len(self.rows)
        self._signal(signal.SIGCONT)

        def done(rows: Sequence[Mapping[str, Any]]) -> bool:
            # The first row of a turn is of steps during which it stood still.
            new = rows[before:]
            return len(new) > 1 and new[-1]["step"] - new[0]["step"] >= steps

        self._wait(done, TURN_SECONDS)
        self.stop()
        first, last = self.rows[before], self.rows[-1]
        taken = last["step"] - first["step"]
        return Turn(1000 * (last["seconds"] - first["seconds"]) / taken, taken)

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def end(self) -> None:
        """Kill it and wait until it is gone."""
        self._signal(signal.SIGKILL)
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes = []

    def _signal(self, number: signal.Signals) -> None:
        if self._processes:
            with suppress(ProcessLookupError):
                os.killpg(self._processes[0].pid, number)

    def _wait(self, done: Any, seconds: float) -> None:
        limit = time.monotonic() + seconds
        while not done(self.rows):
            ended = any(process.poll() is not None for process in self._processes)
            self._read()
            if done(self.rows):
                return
            if ended:
                raise HydratronError(f"{self.name} ended: {self._last_line()}")
            if time.monotonic() > limit:
                raise HydratronError(f"{self.name}: no further step within {seconds:g} s")
            time.sleep(POLL_SECONDS)

    def _read(self) -> None:
        """Take the whole lines that are new."""
        try:
            with self.file.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = [json.loads(line) for line in whole.splitlines()]
        # Our job also writes what validation says, without a loss.
        self.rows += [row for row in found if "train/loss" in row]

    def _last_line(self) -> str:
        text = (self.folder / LOG).read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"see {self.folder / LOG}"


def _end_with_parent() -> None:
    """What stands still could not see that it has been left alone (PR_SET_PDEATHSIG, Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def python(*arguments: str) -> list[str]:
    """A command of this interpreter."""
    return [sys.executable, "-W", "ignore", *arguments]
