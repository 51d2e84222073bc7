"""When a checkpoint is written, and which ones are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as pl
from lightning.pytorch.callbacks import Callback

from hydratron.config.load import to_yaml
from hydratron.config.schema import Config
from hydratron.job import JobFolder
from hydratron.training.metrics import MetricsLog


class CheckpointEvery(Callback):
    """Saves every n optimizer steps and after the last one; keeps the newest."""

    def __init__(self, folder: JobFolder, config: Config, metrics: MetricsLog) -> None:
        self.folder, self.config, self.metrics = folder, config, metrics

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["config"] = to_yaml(self.config)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, i: int
    ) -> None:
        step, every = trainer.global_step, self.config.checkpoint.every_n_steps
        if (i + 1) % trainer.accumulate_grad_batches == 0:
            due = bool(every) and step % every == 0
            last = step == self.config.trainer.max_steps and self.config.checkpoint.at_end
            if due or last:
                with self.metrics.paused():
                    self._save(trainer, self.folder.checkpoints / f"step_{step:08d}")

    def _save(self, trainer: pl.Trainer, path: Path) -> None:
        trainer.save_checkpoint(path)
        names = sorted(self.folder.checkpoints.glob("step_*"))
        for old in names[: -self.config.checkpoint.keep]:
            trainer.strategy.remove_checkpoint(old)
