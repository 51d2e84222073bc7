"""A logger that starts while training does: rows wait for it, and training for neither."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from lightning.pytorch.loggers import Logger


class StartedBeside:
    """What `start` gives, which a thread calls: a logger, or None where there is none to be had.

    Rows are handed on in their order, at the first one after the start and at the end.
    """

    def __init__(self, start: Callable[[], Logger | None]) -> None:
        self._start = start
        self._logger: Logger | None = None
        self._rows: list[tuple[dict[str, Any], int]] = []
        self._thread = threading.Thread(target=self._run, name="logger start", daemon=True)
        self._thread.start()

    def log_metrics(self, metrics: dict[str, Any], step: int) -> None:
        """Raises what the logger does, once it has started."""
        self._rows.append((dict(metrics), step))
        if not self._thread.is_alive():
            self._hand_on()

    def started(self) -> Logger | None:
        """Wait for the start and hand on what is left; raises as `log_metrics` does."""
        self._thread.join()
        self._hand_on()
        return self._logger

    def _run(self) -> None:
        self._logger = self._start()

    def _hand_on(self) -> None:
        rows, self._rows = self._rows, []
        if self._logger is not None:
            for row, step in rows:
                self._logger.log_metrics(row, step=step)
