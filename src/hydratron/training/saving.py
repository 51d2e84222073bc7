"""When a checkpoint is written, and which ones are kept."""

from __future__ import annotations

from typing import Any

import lightning as pl
from lightning.pytorch.callbacks import Callback

from hydratron.config.load import to_yaml
from hydratron.config.schema import Config
from hydratron.job import JobFolder
from hydratron.training.metrics import MetricsLog
from hydratron.training.module import LanguageModule


class CheckpointEvery(Callback):
    """Saves every n optimizer steps and after the last one; keeps the newest."""

    def __init__(self, folder: JobFolder, config: Config, metrics: MetricsLog) -> None:
        self.folder, self.config, self.metrics = folder, config, metrics

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["config"] = to_yaml(self.config)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._newest = trainer.global_step

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Not at the end of the step before: its validation belongs to what the checkpoint follows.
        every = self.config.checkpoint.every_n_steps
        if every and trainer.global_step % every == 0:
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.config.checkpoint.at_end:
            self._save(trainer, pl_module)

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModule)
        step = trainer.global_step
        if step == self._newest:
            return
        self.metrics.look(pl_module, step)
        if self.metrics.watch.diverged:
            # It would take the place of a checkpoint that is worth more.
            return
        self._newest = step
        with self.metrics.paused():
            trainer.save_checkpoint(self.folder.checkpoints / f"step_{step:08d}")
        names = sorted(self.folder.checkpoints.glob("step_*"))
        for old in names[: -self.config.checkpoint.keep]:
            trainer.strategy.remove_checkpoint(old)
