"""A progress bar on standard error for work that takes more than two seconds."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

PATIENCE_SECONDS = 2.0


class LateProgress:
    """Bars of named tasks; nothing is shown before two seconds, to no terminal, or if not `shown`.

    A task whose total is unknown moves to and fro.
    """

    def __init__(self, shown: bool) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
        console = Console(stderr=True)
        self._bars = Progress(
            *columns,
            TimeElapsedColumn(),
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
        """The task before is done; this one has `total` units."""
        for task in self._bars.tasks:
            self._bars.remove_task(task.id)
        self._bars.add_task(description, total=total)
        self.advance(0)

    def advance(self, units: int) -> None:
        """Part of the running task is done."""
        self._bars.advance(self._bars.tasks[-1].id, units)
        late = time.monotonic() - self._begin > PATIENCE_SECONDS
        if late and not self._bars.live.is_started:
            self._bars.start()
