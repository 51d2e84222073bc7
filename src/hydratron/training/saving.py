"""When a checkpoint is written, and which ones are kept."""

from __future__ import annotations

from typing import Any

import lightning as pl
from lightning.pytorch.callbacks import Callback

from hydratron.config.schema import Config
from hydratron.job import JobFolder
from hydratron.training.metrics import MetricsLog
from hydratron.training.module import LanguageModule


class CheckpointEvery(Callback):
    """Saves every n steps, after the last one and when asked to stop; keeps the newest."""

    def __init__(self, folder: JobFolder, config: Config, metrics: MetricsLog) -> None:
        self.folder, self.options, self.metrics = folder, config.checkpoint, metrics

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._newest = trainer.global_step

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Not at the end of the step before: its validation belongs to what the checkpoint follows.
        every = self.options.every_n_steps
        if every and trainer.global_step % every == 0:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModule)
        if self.options.at_end or pl_module.result.stop:
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        step = trainer.global_step
        # A diverged model would take the place of a checkpoint that is worth more.
        if step == self._newest or self.metrics.watch.diverged:
            return
        self._newest = step
        with self.metrics.paused():
            trainer.save_checkpoint(self.folder.checkpoints / f"step_{step:08d}")
        names = sorted(self.folder.checkpoints.glob("step_*"))
        for old in names[: -self.options.keep]:
            trainer.strategy.remove_checkpoint(old)
