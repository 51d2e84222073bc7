"""A rank that makes no progress says in its log where it is, before its collective times out."""

from __future__ import annotations

import linecache
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as pl
from lightning.pytorch.callbacks import Callback

import hydratron

WAITING = ("torch.distributed", "hydratron.parallel.shared_memory")
PACKAGE = str(Path(hydratron.__file__).parent)
# Of the time after which a collective ends the job.
SHARE = 0.8


class Watchdog(Callback):
    """After `seconds` without a step or a validation batch the stacks go to standard error.

    First comes one line, `HANG rank= step= waits= at=`, which `launch.hangs` reads: whether the
    main thread is in torch.distributed, and at which line of this package.
    """

    def __init__(self, rank: int, timeout_seconds: float) -> None:
        self.rank, self.seconds = rank, SHARE * timeout_seconds
        self._step, self._seen, self._end = 0, time.monotonic(), threading.Event()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._pulse(trainer)
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._pulse(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, i: int
    ) -> None:
        self._pulse(trainer)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any
    ) -> None:
        self._pulse(trainer)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._end.set()

    def _pulse(self, trainer: pl.Trainer) -> None:
        self._step, self._seen = trainer.global_step, time.monotonic()

    def _watch(self) -> None:
        told = 0.0
        while not self._end.wait(self.seconds / 10):
            seen = self._seen
            if seen != told and time.monotonic() - seen > self.seconds:
                told = seen
                self._tell()

    def _tell(self) -> None:
        frames, main = sys._current_frames(), threading.main_thread().ident
        lines = []
        if main in frames:
            waits, where = place(frames[main])
            said = f"waits={'yes' if waits else 'no'} at={where}"
            lines.append(f"HANG rank={self.rank} step={self._step} {said}\n")
        for thread in threading.enumerate():
            if thread.ident in frames and thread is not threading.current_thread():
                lines.append(f"thread {thread.name}:\n")
                lines += traceback.format_stack(frames[thread.ident])
        sys.stderr.write("".join(lines))
        sys.stderr.flush()


def place(frame: FrameType) -> tuple[bool, str]:
    """Whether a stack waits for other ranks, and `FILE:LINE FUNCTION` of its last own line.

    What waits, torch.distributed or the memory that ranks share, is not that line.
    """
    # A Work of torch.distributed is no Python: who waits for one has no frame of it.
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    waits, here = ".wait(" in line, frame
    found: FrameType | None = frame
    while found is not None:
        waiting = str(found.f_globals.get("__name__", "")).startswith(WAITING)
        waits |= waiting
        if found.f_code.co_filename.startswith(PACKAGE) and not waiting:
            here = found
            break
        found = found.f_back
    file = Path(here.f_code.co_filename)
    name = file.relative_to(PACKAGE) if file.is_relative_to(PACKAGE) else file.name
    return waits, f"{name}:{here.f_lineno} {here.f_code.co_name}"
