"""A fine-tuning: what `task=` brings along, and its length once its examples are counted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from hydratron.config.rules import filled
from hydratron.config.schema import Config
from hydratron.errors import ConfigError, Problem
from hydratron.job import checkpoint_step, named_checkpoint
from hydratron.tasks.table import MULTIPLE, TASKS

SOURCE = "labelled"


def is_labelled(config: Config) -> bool:
    """Whether the task learns from labelled files."""
    return config.task in TASKS and bool(TASKS[config.task].examples)


def brought(composed: Config, named: Collection[str]) -> Config:
    """The configuration with the data of its task, and all of what validates, unless `named`."""
    config = replace(composed)
    if "data.source" not in named:
        config.data = replace(config.data, source=SOURCE)
    if "trainer.val_samples" not in named:
        config.trainer = replace(config.trainer, val_samples=None)
    return config


def refuse_steps(config: Config, typed: Collection[str]) -> None:
    """Raise ConfigError where steps are typed that epochs would set."""
    steps, epochs = "trainer.max_steps", config.trainer.max_epochs
    if epochs is not None and steps in typed:
        expected = f"trainer.max_epochs={epochs} sets it; add trainer.max_epochs=null"
        raise ConfigError([Problem(steps, config.trainer.max_steps, expected)])


def steps_per_epoch(config: Config, examples: int) -> int:
    """The whole batches of `examples`.  Raises ConfigError where there is none."""
    size = config.trainer.global_batch_size
    if size > examples:
        expected = f"at most {examples}, the samples that train"
        raise ConfigError([Problem("trainer.global_batch_size", size, expected)])
    return examples // size


def sized(config: Config, examples: int) -> Config:
    """The configuration with the steps that its epochs are; it is validated once an epoch."""
    trainer = config.trainer
    if trainer.max_epochs is None:
        return config
    epoch = steps_per_epoch(config, examples)
    every = trainer.val_every_n_steps or epoch
    steps = trainer.max_epochs * epoch
    start = named_checkpoint(Path(config.resume)) if config.resume is not None else None
    if start is not None and steps <= (step := checkpoint_step(start)):
        expected = f"is {steps} steps; more than {step}, those of resume=, are expected"
        raise ConfigError([Problem("trainer.max_epochs", trainer.max_epochs, expected)])
    trainer = replace(trainer, max_steps=steps, val_every_n_steps=every)
    return filled(replace(config, trainer=trainer), counted=True)


def labelled_problems(config: Config) -> Iterator[Problem]:
    """Options of a fine-tuning without one, and the other way round."""
    source = config.data.source
    if is_labelled(config):
        if source != SOURCE:
            expected = f"task={config.task} reads its own files: data.path=FOLDER, without data="
            yield Problem("data.source", source, expected)
        tp = config.parallel.tensor_model_parallel_size
        if config.parallel.sequence_parallel and MULTIPLE % tp:
            expected = f"a divisor of {MULTIPLE}, to which fine-tuning cuts its padding"
            yield Problem("parallel.tensor_model_parallel_size", tp, expected)
        return
    tasks = ", ".join(name for name, row in TASKS.items() if row.examples)
    if source == SOURCE:
        yield Problem("data.source", source, f"is what task= brings: one of {tasks}")
    alone = {
        "trainer.max_epochs": config.trainer.max_epochs,
        "data.validation_path": config.data.validation_path,
    }
    for key, value in alone.items():
        if value is not None:
            yield Problem(key, value, f"is read in fine-tuning only: task= one of {tasks}")
    if config.trainer.val_samples is None:
        expected = f"a number, unless task= is one of {tasks}"
        yield Problem("trainer.val_samples", "null", expected)
