"""The Lightning module: builds the network on the mesh and takes one step after the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from hydratron.config.schema import Config
from hydratron.data.corpus import Corpus
from hydratron.data.labelled.summary import training_size
from hydratron.data.sampler import ConsumedSampler
from hydratron.data.samples.assemble import (
    Samples,
    continued,
    training_samples,
    validation_samples,
)
from hydratron.errors import DataError, Problem
from hydratron.models.init import initialize
from hydratron.parallel.distributed_optimizer import OwnRows
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import parameter_count
from hydratron.tasks.contract import Batch, Uneven, Verdict
from hydratron.training.batches import Loader
from hydratron.training.broken import broken
from hydratron.training.build import build_network, parameter_table
from hydratron.training.compiled import compile_layers
from hydratron.training.initial import take
from hydratron.training.internals import count_step
from hydratron.training.loss_scale import LossScale
from hydratron.training.optimizers import build_optimizer
from hydratron.training.precision import autocast
from hydratron.training.schedule import learning_rate
from hydratron.training.spmd import in_turn_as_one, one_program
from hydratron.training.step import Schedule, Step, StepResult, in_turn
from hydratron.training.stopping import StopSignals
from hydratron.training.strategy import TensorParallelStrategy
from hydratron.training.validating import Validation, validation_of

if TYPE_CHECKING:
    from hydratron.training.stages import Stages


class LanguageModule(pl.LightningModule):
    """A network, its task and what it is trained on.

    One batch of its loader is one optimizer step, of which `number` is the last one, counted from
    1, `lr` its rate, and `result` what came out.  `initial` is a checkpoint whose weights a new
    run starts from.
    """

    def __init__(
        self, config: Config, corpus: Corpus, signals: StopSignals, initial: Path | None = None
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config, self.corpus, self.signals = config, corpus, signals
        self.initial = initial
        self.table = parameter_table(config)
        self.task = config.learning.task()
        fp16 = config.trainer.precision == "fp16"
        self.loss_scale = LossScale(config.trainer.loss_scale, used=fp16)
        self.start_step = self.number = 0
        self.order_ends = [config.samples]
        self.lr = 0.0
        self.rows: OwnRows | None = None
        self.epoch_size: int | None = None
        self.result = StepResult((), 0.0)
        self.broken: dict[str, Any] | None = None
        self.validation: Validation | None = None
        self._val_samples: Samples | None = None

    @property
    def mesh_strategy(self) -> TensorParallelStrategy:
        strategy = self.trainer.strategy
        assert isinstance(strategy, TensorParallelStrategy)
        return strategy

    def configure_model(self) -> None:
        config, mesh, device = self.config, self.mesh_strategy.mesh, self.mesh_strategy.root_device
        in_sequence = config.parallel.sequence_parallel
        self.streams = RandomStreams(
            config.seed, device, mesh.tensor, mesh.data, in_sequence, mesh.pipeline
        )
        vocab_size = self.corpus.vocab_size
        self.network = build_network(self.config, vocab_size, mesh, self.streams, device)
        initialize(self.network, self.table, self.config.seed, mesh.tensor, vocab_size)
        if self.initial is not None:
            cast = config.checkpoint.cast
            learnt = config.learning
            take(self.initial, self.network, self.table, mesh, vocab_size, cast, learnt)
        if config.trainer.compile:
            compile_layers(self.network)
        clip, precision = self.config.optim.clip_grad, self.config.trainer.precision
        self.precision = autocast(precision, device.type)
        scale = self.loss_scale if self.loss_scale.used else None
        self.stages = self._stages() if mesh.pipeline.size > 1 else None
        schedule: Schedule = self.stages or in_turn
        if config.parallel.spmd:
            self.task, schedule = one_program(self.task, self.table, mesh), in_turn_as_one
        self.step = Step(
            self.network, self.table, self.task, mesh, clip, self.precision, schedule, scale=scale
        )

    def _stages(self) -> Stages:
        # torch's pipelines take a third of a second to import.
        from hydratron.parallel.pipeline import Pipeline
        from hydratron.training.stages import Stages

        pipeline = Pipeline(
            self.mesh_strategy.mesh.pipeline,
            self.config.parallel.pipeline_schedule,
            self.mesh_strategy.root_device,
            # What flows between the layers is not cast, whatever the layers compute in.
            next(self.network.parameters()).dtype,
        )
        return Stages(self.network, self.task, pipeline, self.precision)

    def configure_optimizers(self) -> Optimizer:
        group, wanted = self.mesh_strategy.mesh.data, self.config.parallel.distributed_optimizer
        self.rows = OwnRows.of(self.network, group, wanted)
        whole = dict(self.network.named_parameters())
        return build_optimizer(
            self.rows.parts if self.rows else whole, self.table, self.config.optim
        )

    def parameter_count(self) -> int:
        """Parameters of the whole model, over all ranks of a replica."""
        mesh, named = self.mesh_strategy.mesh, dict(self.network.named_parameters())
        count = torch.tensor(parameter_count(named, self.table, mesh), device=self.device)
        return int(mesh.pipeline.all_reduce(count))

    def train_dataloader(self) -> Loader:
        trainer, data = self.config.trainer, self.mesh_strategy.mesh.data
        # The order of labelled examples is one of epochs, however many there will be.
        labelled = bool(self.config.learning.examples)
        samples = training_samples(
            self.config.reader,
            self.corpus,
            self.config.model.seq_length,
            [max(self.order_ends)] if labelled else self.order_ends,
            self.config.seed,
        )
        self.epoch_size = training_size(self.corpus, self.config) if labelled else None
        steps = ConsumedSampler(
            start_step=self.start_step,
            max_steps=trainer.max_steps,
            global_batch_size=trainer.global_batch_size,
            micro_batch_size=self.config.micro_batch_size,
            dp_rank=data.rank,
            dp_size=data.size,
        )
        self.loader = Loader(samples, steps, self.task, self.config.data.num_workers)
        return self.loader

    def epoch(self, step: int) -> dict[str, float]:
        """How often the training examples were read after a step; nothing where text is."""
        if self.epoch_size is None:
            return {}
        return {"epoch": step * self.config.trainer.global_batch_size / self.epoch_size}

    def val_dataloader(self) -> Loader:
        data, size = self.mesh_strategy.mesh.data, self.config.micro_batch_size
        samples = self._validation_samples()
        mine = list(range(data.rank, len(samples), data.size))
        if isinstance(self.task, Uneven):
            lengths = {i: self.task.length(samples[i]) for i in mine}
            mine.sort(key=lengths.__getitem__)
        batches = [mine[i : i + size] for i in range(0, len(mine), size)]
        # A pipeline is given several at once, so that its stages have something to do.
        stages = self.mesh_strategy.mesh.pipeline.size
        each = 4 * stages if stages > 1 else 1
        steps = [batches[i : i + each] for i in range(0, len(batches), each)]
        return Loader(samples, steps, self.task)

    def frequency_loss(self) -> float | None:
        """The validation loss, in nats, of a model that knows frequencies only, if there is one."""
        baseline = self.config.learning.baseline
        if baseline is None:
            return None
        return baseline(self.corpus, self._validation_samples(), self.task.predicted)

    def _validation_samples(self) -> Samples:
        if self._val_samples is None:
            read, length = self.config.reader, self.config.model.seq_length
            wanted = self.config.trainer.val_samples
            self._val_samples = validation_samples(read, self.corpus, length, wanted)
        return self._val_samples

    def training_step(self, item: tuple[list[Batch], Tensor], batch_index: int) -> None:
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        self.number = self.trainer.global_step + 1
        # As Megatron-LM's, the schedule counts updates: a skipped step does not advance it.
        self.lr = self.learning_rate(self.number - self.loss_scale.skipped)
        for group in optimizer.param_groups:
            group["lr"] = self.lr
        update = partial(self.rows.update, optimizer.step) if self.rows else optimizer.step
        self.result = self.step(*item, update, lambda: self.signals.asked is not None)
        if self.result.broken is not None and self.broken is None:
            samples = self.config.trainer.global_batch_size
            found = broken(self.step, self.number, samples, self.result)
            if self.result.skipped:
                count_step(self.trainer)
            else:
                self.broken = found

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

    def on_validation_epoch_start(self) -> None:
        samples, length = self._validation_samples(), self.config.model.seq_length
        self.validation = validation_of(self.task, self.device, samples, length)

    def validation_step(self, item: tuple[list[Batch], Tensor], batch_index: int) -> None:
        assert self.validation is not None
        see = partial(self.validation.add, self.network)
        with self.precision():
            if self.stages is not None:
                self.stages.forward(item[0], see)
                return
            for batch in item[0]:
                see(batch)

    def verdict(self) -> Verdict:
        """Of all validation samples, the same on all ranks."""
        assert self.validation is not None
        mesh = self.mesh_strategy.mesh
        # What was seen is at the last stages; the others have added nothing.
        return self.validation.verdict(mesh.data, mesh.pipeline)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["data"] = {"identity": self.corpus.identity, "order_ends": self.order_ends}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.start_step = checkpoint["global_step"]
        data = checkpoint["data"]
        if data["identity"] != self.corpus.identity:
            expected = "the checkpoint was trained on other tokens; start a new run for these"
            raise DataError([Problem("data.prepared", self.corpus.path, expected)])
        self.order_ends = continued(data["order_ends"], self.config.samples)
