"""One rank's part of a job: from the configuration to the trained model."""

from __future__ import annotations

import logging
import warnings
from datetime import timedelta
from pathlib import Path
from signal import SIGTERM
from typing import Any

import lightning as pl
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback

from hydratron.checkpoint.manifest import Verified
from hydratron.config.load import to_yaml
from hydratron.config.rules import validation_interval
from hydratron.config.schema import Config
from hydratron.data.corpus import Corpus, open_corpus
from hydratron.data.manifest import TOKENIZER
from hydratron.data.place import tokens_of
from hydratron.job import JobFolder
from hydratron.training.batches import dead_workers_named
from hydratron.training.build import parameter_table
from hydratron.training.layer_watch import LayerWatch
from hydratron.training.loss_watch import LossWatch
from hydratron.training.metrics import MetricsLog, MetricsWriter, finite
from hydratron.training.module import LanguageModule
from hydratron.training.saving import CheckpointEvery
from hydratron.training.stopping import StopSignals
from hydratron.training.strategy import TensorParallelStrategy
from hydratron.training.wandb_run import finish, wandb_beside, wandb_of
from hydratron.training.watchdog import Watchdog


class Ending(Callback):
    """Ends a run after its last step, and one that has diverged or was asked to stop.

    Lightning then validates first, which a stop leaves out where it was not due.
    """

    def __init__(self, watch: LossWatch, every: int) -> None:
        self.watch, self.every = watch, every

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, i: int
    ) -> None:
        assert isinstance(pl_module, LanguageModule)
        step, last = trainer.global_step, trainer.global_step == trainer.max_steps
        if pl_module.result.stop and not last and step % self.every:
            trainer.limit_val_batches = 0
        if last or self.watch.diverged or pl_module.result.stop:
            trainer.should_stop = True

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.watch.diverged:
            trainer.should_stop = True


def train(config: Config, folder: JobFolder, resume_from: Path | Verified | None) -> dict[str, Any]:
    """Train on this rank of the open process group; every rank returns the same result.

    `config.data.prepared` must name the prepared tokens.  Checkpoints and metrics.jsonl go to
    `folder`; with `resume_from` the run goes on from that checkpoint, whose parallel degrees may
    have been others; without, it starts from the weights in `config.init_checkpoint`, if any.
    """
    start = resume_from.path if isinstance(resume_from, Verified) else resume_from
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Our sampler starts where the checkpoint ends, which Lightning cannot know.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    # Lightning 2.6.6 asks torch 2.13 in a way that torch deprecates.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    torch.set_float32_matmul_precision(config.trainer.matmul_precision)
    signals = StopSignals()
    named = config.init_checkpoint if resume_from is None else None
    initial = None if named is None else Path(named)
    corpus = open_corpus(tokens_of(config.data, folder.path))
    module = LanguageModule(config, corpus, signals, initial)
    first = dist.get_rank() == 0
    logger = wandb_beside(config, folder) if first and config.logger.kind == "wandb" else None
    loggers = [logger] if logger else []
    rule = config.stability
    watch = LossWatch(rule.window, rule.spike_nats, rule.diverged_nats)
    metrics = MetricsLog(MetricsWriter(folder.metrics, loggers) if first else None, watch)
    ending = Ending(watch, validation_interval(config.trainer))
    status = "failed"
    watchdog = Watchdog(dist.get_rank(), config.trainer.timeout_seconds)
    try:
        callbacks = [signals, watchdog, metrics, ending, CheckpointEvery(folder, config, metrics)]
        if rule.layers_every_n_steps:
            callbacks.append(LayerWatch(metrics, rule.layers_every_n_steps))
        trainer = _trainer(config, callbacks, _texts(config, module.corpus), resume_from)
        with dead_workers_named():
            trainer.fit(module, ckpt_path=start)
        status = "completed"
        if watch.diverged:
            status = "diverged"
        elif trainer.global_step < config.trainer.max_steps:
            status = "preempted"
    finally:
        finish(logger, failed=status == "failed")
    return {
        "status": status,
        **({"reason": watch.diverged} if watch.diverged else {}),
        **({"broken": module.broken} if module.broken else {}),
        **({"signal": (signals.asked or SIGTERM).name} if status == "preempted" else {}),
        **{key: finite(value) for key, value in metrics.last.items()},
        "seconds": round(metrics.seconds(), 3),
        "parameters": module.parameter_count(),
        # Written by the first rank before the first step.
        **({"wandb": run} if (run := wandb_of(config, folder)) else {}),
    }


def _texts(config: Config, corpus: Corpus) -> dict[str, str]:
    """What makes a checkpoint readable without its job: the configuration and the tokenizer."""
    found, tokenizer = {"config.yaml": to_yaml(config)}, corpus.path / TOKENIZER
    if tokenizer.is_file():
        found[TOKENIZER] = tokenizer.read_text(encoding="utf-8")
    return found


def _trainer(
    config: Config,
    callbacks: list[Callback],
    texts: dict[str, str],
    resume_from: Path | Verified | None,
) -> pl.Trainer:
    parallel, options = config.parallel, config.trainer
    strategy = TensorParallelStrategy(
        sizes=parallel.axes,
        table=parameter_table(config),
        texts=texts,
        timeout=timedelta(seconds=options.timeout_seconds),
        share_memory=parallel.transport == "auto" and config.launch.nodes == 1,
        start=resume_from,
        cast=config.checkpoint.cast,
    )
    return pl.Trainer(
        strategy=strategy,
        accelerator="gpu" if dist.get_backend() == "nccl" else "cpu",
        devices=parallel.world_size // config.launch.nodes,
        num_nodes=config.launch.nodes,
        max_steps=options.max_steps,
        val_check_interval=validation_interval(options),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
