"""One row per log event, to metrics.jsonl and to W&B from the same call."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import lightning as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch import Tensor

from hydratron.config.cost import flops_per_token
from hydratron.training.loss_watch import LossWatch
from hydratron.training.module import LanguageModule
from hydratron.training.throughput import memory_bytes, peak_flops


class MetricsWriter:
    """Appends rows to a file and hands them to the loggers; a logger that fails is dropped."""

    def __init__(self, path: Path, loggers: list[Logger]) -> None:
        self.path, self.loggers = path, list(loggers)

    def write(self, row: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        for logger in list(self.loggers):
            try:
                logger.log_metrics(row, step=row["step"])
            except Exception as error:
                self.loggers.remove(logger)
                warnings.warn(f"{type(logger).__name__} stopped: {error}", stacklevel=2)


class MetricsLog(Callback):
    """Measures and writes; only the first rank has a `writer`, all ranks take part in sums."""

    def __init__(self, writer: MetricsWriter | None, watch: LossWatch) -> None:
        self.writer, self.watch = writer, watch
        self.last: dict[str, Any] = {}
        self._unseen: list[Tensor] = []
        self._losses: list[float] = []
        self._pauses = ExitStack()
        self._seconds_before = 0.0
        self._started = self._mark = 0.0
        self._mark_step = 0
        self._waited = 0.0

    def seconds(self) -> float:
        """Seconds of training, those of the run that this one goes on from included."""
        return self._seconds_before + time.monotonic() - self._started

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._seconds_before = checkpoint["seconds"]
        self.watch.load_state(checkpoint["loss_watch"])

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["seconds"] = self.seconds()
        checkpoint["loss_watch"] = self.watch.state()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModule)
        config, device = pl_module.config, pl_module.device
        vocab_size = config.model.padded(pl_module.corpus.vocab_size)
        self._flops_per_token = flops_per_token(config.model, vocab_size)
        dtype = torch.bfloat16 if config.trainer.precision == "bf16" else torch.float32
        peak = config.trainer.peak_flops or peak_flops(device, dtype)
        self._peak = peak * config.parallel.world_size
        self._started = self._mark = time.monotonic()
        self._mark_step, self._waited = trainer.global_step, pl_module.loader.waited

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, i: int
    ) -> None:
        assert isinstance(pl_module, LanguageModule)
        config, step = pl_module.config.trainer, trainer.global_step
        if (i + 1) % trainer.accumulate_grad_batches:
            return
        self._unseen.append(pl_module.train_loss)
        if step % config.log_every_n_steps == 0 or step in (1, config.max_steps):
            self.write(pl_module, step, self._training_row(pl_module, step))

    def look(self, module: LanguageModule, step: int) -> None:
        """Show the watch every loss up to `step`; all ranks call it, with one collective."""
        if not self._unseen:
            return
        losses = module.mesh_strategy.mesh.data.all_reduce(torch.stack(self._unseen)).tolist()
        for at, parts in enumerate(losses, start=step - len(losses) + 1):
            self.watch.see(at, sum(parts))
        self._losses = losses[-1]
        self._unseen.clear()

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
        row = pl_module.validation_row()
        if "val/frequency_loss" not in self.last:
            row["val/frequency_loss"] = pl_module.frequency_loss()
        self._pauses.close()
        self.write(pl_module, trainer.global_step, row)

    def _training_row(self, module: LanguageModule, step: int) -> dict[str, Any]:
        self.look(module, step)
        now = time.monotonic()
        tokens = (step - self._mark_step) * module.config.tokens_per_step
        rate, waited = tokens / (now - self._mark), module.loader.waited - self._waited
        wait = waited / (now - self._mark)
        self._mark, self._mark_step, self._waited = now, step, module.loader.waited
        return {
            "train/loss": sum(self._losses),
            **part_losses(module.objective.parts, self._losses),
            "train/spikes": self.watch.spikes,
            "lr": module.lr,
            "grad_norm": float(module.grad_norm),
            "perf/tokens_per_second": rate,
            "perf/mfu": rate * self._flops_per_token / self._peak,
            "perf/memory_bytes": memory_bytes(module.device),
            "perf/data_wait": wait,
        }

    def write(self, module: LanguageModule, step: int, values: dict[str, Any]) -> None:
        """One row; `values` are the same on all ranks."""
        tokens = step * module.config.tokens_per_step
        row = {"step": step, "tokens": tokens, "seconds": round(self.seconds(), 3), **values}
        self.last |= row
        if self.writer is not None:
            self.writer.write(row)


def part_losses(parts: Sequence[str], losses: Sequence[float]) -> dict[str, float]:
    """The losses that add up to the one that is minimised; nothing where there is only one."""
    if len(parts) == 1:
        return {}
    return {f"train/{part}_loss": loss for part, loss in zip(parts, losses, strict=True)}
