"""SIGTERM and Ctrl-C as a flag, on which all ranks agree at the end of a step."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import lightning as pl
from lightning.pytorch.callbacks import Callback

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals(Callback):
    """From the first step to the last, a signal sets `asked`; a second one does what it always did.

    A signal that this process ignores stays ignored: a rank of a local launcher leaves Ctrl-C to
    the launcher.  Lightning's own handler, which would send in the middle of a step, is replaced.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._ask)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number)
        for again in self._before:
            signal.signal(again, signal.SIG_DFL)
