"""When a checkpoint is written, and which ones are kept."""

from __future__ import annotations

from typing import Any

import lightning as pl
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from hydratron.checkpoint.choice import retain
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
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModule)
        if self.options.at_end or pl_module.result.stop:
            self._save(trainer, pl_module)

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step = trainer.global_step
        # A diverged model would take the place of a checkpoint that is worth more.
        if step == self._newest or self.metrics.watch.diverged:
            return
        self._newest = step
        if name := _not_finite(trainer, pl_module):
            # Nor would one that breaks in its next step.
            self.metrics.watch.see_saved(step, name)
            return
        path = self.folder.checkpoints / f"step_{step:08d}"
        with self.metrics.paused():
            trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            retain(self.folder, self.options.keep, path)


def _not_finite(trainer: pl.Trainer, module: pl.LightningModule) -> str | None:
    """On all ranks the same: a parameter, or what the optimizer keeps of it, that is no number."""
    assert isinstance(module, LanguageModule)
    (optimizer,), found = trainer.optimizers, None
    for name, parameter in module.network.named_parameters():
        kept = optimizer.state.get(parameter, {}).values()
        tensors = [t for t in (parameter, *kept) if isinstance(t, Tensor) and t.is_floating_point()]
        if not all(bool(tensor.isfinite().all()) for tensor in tensors):
            found = name
            break
    everyones: list[str | None] = [None] * trainer.world_size
    dist.all_gather_object(everyones, found)
    return next((each for each in everyones if each), None)
