"""Our own checkpoints: the weights of one, read whole into one process, and one made of weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from hydratron.checkpoint import folder as checkpoints
from hydratron.checkpoint.participant import Saved
from hydratron.config import load
from hydratron.config.rules import filled
from hydratron.config.schema import Config, TokenizerConfig
from hydratron.data.manifest import TOKENIZER
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import HydratronError
from hydratron.interop.model import Model, check, finite
from hydratron.job import JobFolder
from hydratron.launch.environment import within_host
from hydratron.tasks.table import PRETRAIN
from hydratron.training.initial import BESIDE, MODEL


class Whole:
    """The tensors of a checkpoint as a participant: it takes whatever was saved, or gives them."""

    def __init__(self, tensors: Mapping[str, Tensor] | None = None) -> None:
        self.tensors = dict(tensors or {})

    def state(self) -> dict[str, Any]:
        return {**self.tensors}

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        return {name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in saved.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}


def read(checkpoint: Path, tokenizer: Tokenizer | None = None) -> Model:
    """The model of a checkpoint, with its own tokenizer unless another is given.

    Raises HydratronError where the checkpoint is not whole, or says less than a conversion needs.
    """
    config = config_of(checkpoint)
    if tokenizer is None:
        if not (checkpoint / TOKENIZER).is_file():
            raise HydratronError(f"{checkpoint}: has no {TOKENIZER}; name one by --tokenizer")
        try:
            tokenizer = Tokenizer.load(checkpoint / TOKENIZER)
        except ValueError as error:
            raise HydratronError(str(error)) from None
    whole = Whole()
    with alone():
        checkpoints.load(checkpoint, {MODEL: whole}, optional=BESIDE)
    learnt = config.task if config.learning.examples else PRETRAIN
    model = Model(filled(config).model, whole.tensors, tokenizer, learnt)
    rows, needed = len(whole.tensors["word_embeddings.weight"]), model.options.padded
    if rows != needed(tokenizer.vocab_size):
        entries = tokenizer.vocab_size
        said = f"a vocabulary of {rows} rows, but its tokenizer has {entries} entries"
        raise HydratronError(f"{checkpoint}: {said}")
    check(str(checkpoint), model)
    finite(str(checkpoint), whole.tensors)
    return model


def config_of(checkpoint: Path) -> Config:
    """The configuration of the job that a checkpoint carries."""
    return load.read(checkpoints.config_text(checkpoint), checkpoint / checkpoints.CONFIG)


def write(folder: Path, model: Model) -> Path:
    """Fill `folder` as a job's, with one checkpoint of step 0; returns that.

    `init_from` takes it at any degree; nothing can resume from it, since there is no optimizer.
    """
    kind = "gpt2" if model.options.architecture == "gpt" else "bert"
    tokenizer = TokenizerConfig(kind=kind)
    made = replace(Config(), model=model.options, tokenizer=tokenizer, task=model.task)
    config = filled(made)
    texts = {checkpoints.CONFIG: load.to_yaml(config), TOKENIZER: model.tokenizer.to_json()}
    job = JobFolder(folder)
    checkpoint = job.checkpoints / "step_00000000"
    with alone():
        checkpoints.save(checkpoint, {MODEL: Whole(model.padded())}, 0, texts)
    load.dump(config, job.config)
    return checkpoint


@contextmanager
def alone() -> Iterator[None]:
    """A process group of this process, which checkpoints talk over; an open one is used."""
    if dist.is_initialized():
        yield
        return
    # gloo looks up the host's name otherwise, which not every machine resolves.
    names = within_host()
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})
