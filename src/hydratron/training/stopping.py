"""SIGTERM, SIGHUP, SIGUSR1 and Ctrl-C as a flag, on which all ranks agree at the end of a step."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import lightning as pl
from lightning.pytorch.callbacks import Callback

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT)


class StopSignals(Callback):
    """From the first step to the last, the first signal sets `asked`.

    A second Ctrl-C ends the process.  SIGTERM may come twice, from a scheduler and from the
    launcher.  A signal that this process ignores stays ignored: a rank of a local launcher leaves
    all but SIGTERM to the launcher.  Lightning's own handler, which would send in the middle of a
    step, is replaced; at the end Lightning brings back what it found.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is None:  # SIGUSR1 asks to be queued again; SIGTERM may follow.
            self.asked = signal.Signals(number)
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
