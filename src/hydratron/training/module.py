"""The Lightning module: builds the network on the mesh, computes losses, steps the optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from hydratron.config.schema import Config
from hydratron.data.corpus import Corpus
from hydratron.data.sampler import ConsumedSampler
from hydratron.data.samples.assemble import (
    Samples,
    continued,
    training_samples,
    validation_samples,
)
from hydratron.data.samples.frequency import frequency_loss
from hydratron.errors import DataError, Problem
from hydratron.models.init import initialize
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import parameter_count
from hydratron.training.batches import CountedSteps, Loader
from hydratron.training.build import build_network, parameter_table
from hydratron.training.objective import OBJECTIVES, Row
from hydratron.training.optimizers import build_optimizer
from hydratron.training.schedule import learning_rate
from hydratron.training.strategy import TensorParallelStrategy


class LanguageModule(pl.LightningModule):
    """A language model and what it is trained on.

    After every optimizer step `train_loss` [parts of the objective] is this replica's share of the
    mean over the global batch: the replicas' sum is the loss.  `grad_norm` is the norm of the whole
    gradient before clipping.
    """

    def __init__(self, config: Config, corpus: Corpus) -> None:
        super().__init__()
        self.config, self.corpus = config, corpus
        self.table = parameter_table(config.model)
        self.objective = OBJECTIVES[config.model.architecture]
        self.start_step = 0
        self.order_ends = [config.samples]
        self.lr = 0.0
        self.train_loss = self.grad_norm = torch.zeros(())
        self._sums: list[Tensor] = []
        self._scores = torch.zeros(self.objective.scored)

    @property
    def mesh_strategy(self) -> TensorParallelStrategy:
        strategy = self.trainer.strategy
        assert isinstance(strategy, TensorParallelStrategy)
        return strategy

    def configure_model(self) -> None:
        mesh, device = self.mesh_strategy.mesh, self.mesh_strategy.root_device
        self.streams = RandomStreams(self.config.seed, device, mesh.tensor, mesh.data)
        vocab_size = self.corpus.vocab_size
        self.network = build_network(
            self.config.model, vocab_size, mesh.tensor, self.streams, device
        )
        initialize(self.network, self.table, self.config.seed, mesh.tensor, vocab_size)

    def configure_optimizers(self) -> Optimizer:
        return build_optimizer(dict(self.network.named_parameters()), self.table, self.config.optim)

    def parameter_count(self) -> int:
        """Parameters of the whole model, over all tensor-parallel ranks."""
        named = dict(self.network.named_parameters())
        return parameter_count(named, self.table, self.mesh_strategy.mesh.tensor)

    def train_dataloader(self) -> CountedSteps:
        trainer, mesh = self.config.trainer, self.mesh_strategy.mesh
        samples = training_samples(
            self.corpus, self.config.model.seq_length, self.order_ends, self.config.seed
        )
        batches = ConsumedSampler(
            start_step=self.start_step,
            max_steps=trainer.max_steps,
            global_batch_size=trainer.global_batch_size,
            micro_batch_size=self.config.micro_batch_size,
            dp_rank=mesh.data.rank,
            dp_size=mesh.data.size,
        )
        self.loader = Loader(samples, batches, self.config.data.num_workers)
        return CountedSteps(self.loader, self.config.accumulation, self.objective.counts)

    def val_dataloader(self) -> Loader:
        trainer, data = self.config.trainer, self.mesh_strategy.mesh.data
        samples = self._validation_samples()
        mine = range(data.rank, trainer.val_samples, data.size)
        size = self.config.micro_batch_size
        return Loader(samples, [list(mine[i : i + size]) for i in range(0, len(mine), size)])

    def frequency_loss(self) -> float:
        """The validation loss, in nats, of a model that knows the frequencies of tokens only."""
        return frequency_loss(self.corpus, self._validation_samples())

    def _validation_samples(self) -> Samples:
        length, n = self.config.model.seq_length, self.config.trainer.val_samples
        return validation_samples(self.corpus, length, n)

    def training_step(self, counted: tuple[Any, Tensor], batch_index: int) -> Tensor:
        batch, counts = counted
        replicas = self.mesh_strategy.mesh.data
        if not self._sums:
            self._counts = replicas.all_reduce(counts.clone()).clamp(min=1.0).float()
        losses = self.objective.sums(self.network, batch) / self._counts
        self._sums.append(losses.detach())
        # Lightning takes the mean over the micro-batches of a step, the strategy over replicas.
        return losses.sum() * (self.config.accumulation * replicas.size)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        self.lr = self.learning_rate(self.trainer.global_step + 1)
        for group in optimizer.param_groups:
            group["lr"] = self.lr
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.train_loss = torch.stack(self._sums).sum(dim=0)
        self._sums.clear()

    def learning_rate(self, step: int) -> float:
        schedule = self.config.schedule
        return learning_rate(
            step,
            peak=self.config.optim.lr,
            floor=schedule.min_lr,
            warmup_steps=schedule.warmup_steps,
            decay_steps=schedule.decay_steps or self.config.trainer.max_steps,
            decay=schedule.decay,
        )

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning calls this once per optimizer step, after the last micro-batch's backward.
        self.grad_norm = self.mesh_strategy.finish_gradients(self.config.optim.clip_grad)

    def on_validation_epoch_start(self) -> None:
        self._scores = torch.zeros(self.objective.scored, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Any, batch_index: int) -> None:
        self._scores += self.objective.scores(self.network, batch)

    def validation_row(self) -> Row:
        """The metrics over all validation samples, the same on all ranks."""
        scores = self.mesh_strategy.mesh.data.all_reduce(self._scores.clone())
        return self.objective.row(scores.tolist())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["random"] = self.streams.state()
        checkpoint["data"] = {"identity": self.corpus.identity, "order_ends": self.order_ends}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.start_step = checkpoint["global_step"]
        self.streams.load_state(checkpoint["random"])
        data = checkpoint["data"]
        if data["identity"] != self.corpus.identity:
            expected = "the checkpoint was trained on other tokens; start a new run for these"
            raise DataError([Problem("data.prepared", self.corpus.path, expected)])
        self.order_ends = continued(data["order_ends"], self.config.samples)
