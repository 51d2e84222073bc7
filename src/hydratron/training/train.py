"""One rank's part of a job: from the configuration to the trained model."""

from __future__ import annotations

import logging
import math
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as pl
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback

from hydratron.config.schema import Config
from hydratron.data.corpus import open_corpus
from hydratron.job import JobFolder
from hydratron.training.batches import dead_workers_named
from hydratron.training.build import parameter_table
from hydratron.training.layer_watch import LayerWatch
from hydratron.training.loss_watch import LossWatch
from hydratron.training.metrics import MetricsLog, MetricsWriter
from hydratron.training.module import LanguageModule
from hydratron.training.saving import CheckpointEvery
from hydratron.training.strategy import TensorParallelStrategy
from hydratron.training.wandb_run import finish, wandb_logger

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}


class Stop(Callback):
    """Ends a run that has diverged; else lets Lightning validate after the last step as well."""

    def __init__(self, watch: LossWatch) -> None:
        self.watch = watch

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, i: int
    ) -> None:
        last = trainer.global_step == trainer.max_steps
        trainer.should_stop = last or self.watch.diverged is not None


def train(config: Config, folder: JobFolder, resume_from: Path | None) -> dict[str, Any]:
    """Train on this rank of the open process group; every rank returns the same result.

    `config.data.prepared` must name the prepared tokens.  Checkpoints and metrics.jsonl go to
    `folder`; with `resume_from` the run goes on from that checkpoint, whose parallel degrees may
    have been others.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Our sampler starts where the checkpoint ends, which Lightning cannot know.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    torch.set_float32_matmul_precision(config.trainer.matmul_precision)
    assert config.data.prepared is not None
    module = LanguageModule(config, open_corpus(config.data.prepared))
    first = dist.get_rank() == 0
    logger = wandb_logger(config, folder) if first and config.logger.kind == "wandb" else None
    loggers = [logger] if logger else []
    rule = config.stability
    watch = LossWatch(rule.window, rule.spike_nats, rule.diverged_nats)
    metrics = MetricsLog(MetricsWriter(folder.metrics, loggers) if first else None, watch)
    status = "failed"
    try:
        callbacks = [metrics, Stop(watch), CheckpointEvery(folder, config, metrics)]
        if rule.layers_every_n_steps:
            callbacks.append(LayerWatch(metrics, rule.layers_every_n_steps))
        trainer = _trainer(config, callbacks)
        with dead_workers_named():
            trainer.fit(module, ckpt_path=resume_from)
        status = "diverged" if watch.diverged else "completed"
    finally:
        finish(logger, failed=status == "failed")
    return {
        "status": status,
        **({"reason": watch.diverged} if watch.diverged else {}),
        **{key: _finite(value) for key, value in metrics.last.items()},
        "seconds": round(metrics.seconds(), 3),
        "parameters": module.parameter_count(),
    }


def _finite(value: Any) -> Any:
    """JSON has no number for what is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _trainer(config: Config, callbacks: list[Callback]) -> pl.Trainer:
    parallel, options = config.parallel, config.trainer
    strategy = TensorParallelStrategy(
        tp=parallel.tensor_model_parallel_size,
        dp=parallel.data_parallel_size,
        table=parameter_table(config.model),
        timeout=timedelta(seconds=options.timeout_seconds),
    )
    return pl.Trainer(
        strategy=strategy,
        accelerator=options.accelerator,
        devices=parallel.world_size // config.launch.nodes,
        num_nodes=config.launch.nodes,
        precision=PRECISIONS[options.precision],  # type: ignore[arg-type]
        max_steps=options.max_steps,
        accumulate_grad_batches=config.accumulation,
        val_check_interval=options.val_every_n_steps * config.accumulation,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
