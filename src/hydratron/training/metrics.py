"""One row per log event, to metrics.jsonl and to W&B from the same call."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import lightning as pl
from lightning.pytorch.callbacks import Callback

from hydratron.config.cost import Work
from hydratron.config.rules import logging_interval
from hydratron.job import write_text
from hydratron.training.loss_scale import LossScale
from hydratron.training.loss_watch import LossWatch
from hydratron.training.module import LanguageModule
from hydratron.training.precision import TYPES
from hydratron.training.throughput import memory_bytes, peak_flops

PREDICTIONS = "predictions.jsonl"


class RowLogger(Protocol):
    """What rows go to besides their file, such as a logger of Lightning's."""

    def log_metrics(self, metrics: dict[str, Any], step: int) -> None: ...


class MetricsWriter:
    """Appends rows to a file and hands them to the loggers; a logger that fails is dropped."""

    def __init__(self, path: Path, loggers: Sequence[RowLogger]) -> None:
        self.path, self.loggers = path, list(loggers)

    def write(self, row: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            content = {key: finite(value) for key, value in row.items()}
            file.write(json.dumps(content, allow_nan=False) + "\n")
        for logger in list(self.loggers):
            try:
                logger.log_metrics(row, step=row["step"])
            except Exception as error:
                self.loggers.remove(logger)
                warnings.warn(f"{type(logger).__name__} stopped: {error}", stacklevel=2)


def write_predictions(
    folder: Path, predictions: Sequence[dict[str, Any]], files: Mapping[str, str]
) -> None:
    """What the last validation said of every sample, a JSON line each, and the task's own files."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in predictions]
    write_text(folder / PREDICTIONS, "".join(lines))
    for name, text in files.items():
        write_text(folder / name, text)


def finite(value: Any) -> Any:
    """JSON has no number for what is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class MetricsLog(Callback):
    """Measures and writes; only the first rank has a `writer`.  All ranks see the same numbers."""

    def __init__(self, writer: MetricsWriter | None, watch: LossWatch) -> None:
        self.writer, self.watch = writer, watch
        self.last: dict[str, Any] = {}
        self._pauses = ExitStack()
        self._seconds_before = 0.0
        self._started = self._mark = 0.0
        self._mark_step = 0
        self._waited = 0.0

    def seconds(self) -> float:
        """Seconds of training, those of the run that this one goes on from included."""
        return self._seconds_before + time.monotonic() - self._started

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds(), "watch": self.watch.state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds_before = state_dict["seconds"]
        self.watch.load_state(state_dict["watch"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModule)
        config, device = pl_module.config, pl_module.device
        self._work = Work(config, config.model.padded(pl_module.corpus.vocab_size))
        options = config.trainer
        numerics = TYPES[options.precision], options.matmul_precision
        peak = options.peak_flops or peak_flops(device, *numerics)
        self._peak = peak * config.parallel.world_size
        self._started = self._mark = time.monotonic()
        self._mark_step, self._waited = trainer.global_step, pl_module.loader.waited
        self._lengths = Counter(pl_module.loader.lengths)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, i: int
    ) -> None:
        assert isinstance(pl_module, LanguageModule)
        options, step, result = pl_module.config.trainer, pl_module.number, pl_module.result
        if not result.skipped:
            self.watch.see(step, result.loss, result.broken)
        due = step % logging_interval(options) == 0 or step in (1, options.max_steps)
        if due or result.broken:
            self.write(pl_module, step, self._training_row(pl_module, step))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside is not training and does not count against the tokens per second."""
        start = time.monotonic()
        yield
        self._mark += time.monotonic() - start

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._pauses.enter_context(self.paused())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModule)
        row, predictions, files = pl_module.verdict()
        self.watch.see_validation(trainer.global_step, row["val/loss"])
        if "val/frequency_loss" not in self.last:
            guessing = pl_module.frequency_loss()
            row |= {} if guessing is None else {"val/frequency_loss": guessing}
        if self.writer is not None and predictions:
            write_predictions(self.writer.path.parent, predictions, files)
        self._pauses.close()
        self.write(pl_module, trainer.global_step, row)

    def _training_row(self, module: LanguageModule, step: int) -> dict[str, Any]:
        now, result = time.monotonic(), module.result
        spent, waited = now - self._mark, module.loader.waited - self._waited
        done = self._work.of(step - self._mark_step, module.loader.lengths - self._lengths)
        self._mark, self._mark_step, self._waited = now, step, module.loader.waited
        self._lengths = Counter(module.loader.lengths)
        return {
            **module.epoch(step),
            "train/loss": result.loss,
            **part_losses(module.task.parts, result.losses),
            "train/spikes": self.watch.spikes,
            "lr": module.lr,
            "grad_norm": result.grad_norm,
            **scaling(module.loss_scale),
            "perf/tokens_per_second": done.tokens / spent,
            "perf/mfu": done.flops / spent / self._peak,
            "perf/memory_bytes": memory_bytes(module.device),
            "perf/data_wait": waited / spent,
        }

    def write(self, module: LanguageModule, step: int, values: dict[str, Any]) -> None:
        """One row; `values` are the same on all ranks."""
        tokens = step * module.config.tokens_per_step
        row = {"step": step, "tokens": tokens, "seconds": round(self.seconds(), 3), **values}
        self.last |= row
        if self.writer is not None:
            self.writer.write(row)


def scaling(scale: LossScale) -> dict[str, float]:
    """The loss scale for the next step, and the steps skipped so far; of fp16 alone."""
    if not scale.used:
        return {}
    return {"loss_scale": scale.value, "skipped_steps": scale.skipped}


def part_losses(parts: Sequence[str], losses: Sequence[float]) -> dict[str, float]:
    """The losses that add up to the one that is minimised; nothing where there is only one."""
    if len(parts) == 1:
        return {}
    return {f"train/{part}_loss": loss for part, loss in zip(parts, losses, strict=True)}
