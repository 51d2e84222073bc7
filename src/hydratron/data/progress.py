"""A progress bar on standard error for work that takes more than two seconds."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

PATIENCE_SECONDS = 2.0


class LateProgress:
    """Bars of named tasks; nothing is shown before two seconds, to no terminal, or if not `shown`.

    A task has its bytes, its speed and the time left; one of unknown size moves to and fro.
    """

    def __init__(self, shown: bool) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
        console = Console(stderr=True)
        self._bars = Progress(
            *columns,
            TransferSpeedColumn(),
            TextColumn("time left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (shown and console.is_terminal),
        )
        self._begin = time.monotonic()

    def __enter__(self) -> LateProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars.live.is_started:
            self._bars.stop()

    def start(self, description: str, total: int | None = None) -> None:
        """The task before is done; this one has `total` bytes."""
        for task in self._bars.tasks:
            self._bars.remove_task(task.id)
        self._bars.add_task(description, total=total)
        self.advance(0)

    def advance(self, count: int) -> None:
        """So many bytes more of the running task are done."""
        self._bars.advance(self._bars.tasks[-1].id, count)
        late = time.monotonic() - self._begin > PATIENCE_SECONDS
        if late and not self._bars.live.is_started:
            self._bars.start()
