"""What a person sees while jobs run: live bars on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from multiprocessing import current_process
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from hydratron.config.schema import Config
from hydratron.job import JobFolder
from hydratron.launch.lines import Lines, News, Pace, duration, is_number

MESSAGE_CHARACTERS = 300


@dataclass(frozen=True)
class Position:
    """Where a job stands in its sweep.

    `index` counts from 1 to `total`; `started` is the sweep's start (time.time()); `work` holds the
    relative cost of each job, with 0 for one that is skipped because it is complete.
    """

    index: int
    total: int
    started: float
    work: tuple[float, ...]

    @property
    def label(self) -> str:
        """`[3/6] `, or nothing for a single job."""
        return f"[{self.index}/{self.total}] " if self.total > 1 else ""

    def done(self, fraction: float) -> float:
        """The share of all work that is done when `fraction` of this job is, from 0 to 1."""
        finished = sum(self.work[: self.index - 1]) + fraction * self.work[self.index - 1]
        return finished / sum(self.work) if sum(self.work) else 1.0

    def seconds_left(self, fraction: float, now: float) -> float | None:
        """Time so far / work done * work left; None before any work is done."""
        done = self.done(fraction)
        return (now - self.started) * (1 - done) / done if done else None


class Display:
    """Progress of one job on stderr, read from the job's metrics.jsonl.  A context manager."""

    def __init__(
        self, config: Config, folder: JobFolder, position: Position, console: Console | None = None
    ) -> None:
        self._news = News(folder)
        self._title = f"{position.label}{folder.name}"
        self._position = position
        self._max_steps = config.trainer.max_steps
        self._console = console or Console(stderr=True)
        self._pace = Pace(self._max_steps)
        self._lines = Lines(self._title, self._max_steps, self._console.file)
        self._first_host = config.launch.node_rank == 0
        # Jobs side by side in joblib's processes would draw over each other.
        alone = current_process().name == "MainProcess"
        self._live = self._console.is_terminal and alone
        text = TextColumn("{task.fields[text]}", markup=False)
        name = TextColumn("{task.description}", markup=False)
        self._bars = Progress(
            name, BarColumn(), text, console=self._console, transient=True, refresh_per_second=4
        )
        self._job: TaskID | None = None
        self._sweep: TaskID | None = None

    def __enter__(self) -> Display:
        position = self._position
        if self._live:
            self._bars.start()
            text = "starting the ranks"
            self._job = self._bars.add_task(self._title, total=self._max_steps, text=text)
            if position.total > 1:
                self._sweep = self._bars.add_task("all jobs", total=1.0, text="")
        elif position.index == 1:
            say(f"{self._title}: starting the ranks", self._console)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._bars.stop()

    def update(self) -> None:
        """Read the newest row, and move the bars or tell the line that is due."""
        row = self._news.row()
        if self._job is None:
            if row and self._first_host:
                self._lines.see(row, time.monotonic())
            return
        step = 0
        if row:
            step, text = int(row["step"]), "  ".join(self._pace.text(row))
            self._bars.update(self._job, completed=step, text=text)
        if self._sweep is not None:
            fraction = min(1.0, step / self._max_steps)
            left = self._position.seconds_left(fraction, time.time())
            text = f"about {duration(left)} left" if left is not None else ""
            self._bars.update(self._sweep, completed=self._position.done(fraction), text=text)


def end_line(name: str, position: Position, result: dict[str, Any], seconds: float) -> str:
    """`[3/6] NAME completed in 24 s, val/loss 4.461, about 2 min left`."""
    parts = [f"{position.label}{name} {result['status']} in {duration(seconds)}"]
    if result["status"] == "failed":
        parts.append(cause(result))
    else:
        losses = [key for key in ("val/loss", "train/loss") if is_number(result.get(key))]
        parts += [f"{key} {result[key]:.3f}" for key in losses[:1]]
    left = position.seconds_left(1.0, time.time())
    if left is not None and position.index < position.total:
        parts.append(f"about {duration(left)} left")
    return ", ".join(parts)


def cause(result: dict[str, Any]) -> str:
    """`rank 1 at step 20: ValueError: message (logs/rank_1.log)`, on one line."""
    where = "launcher" if result.get("rank") is None else f"rank {result['rank']}"
    if result.get("step") is not None:
        where += f" at step {result['step']}"
    message = " ".join(str(result.get("message", "")).split())[:MESSAGE_CHARACTERS]
    log = f" ({result['log']})" if result.get("log") else ""
    return f"{where}: {result.get('kind')}: {message}{log}"


def say(line: str, console: Console | None = None) -> None:
    """One line on stderr, as it is: no markup, no wrapping."""
    console = console or Console(stderr=True)
    console.print(line, markup=False, highlight=False, soft_wrap=True)
