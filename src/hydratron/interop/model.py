"""A model between two formats: its options, its whole tensors by our names, and its tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hydratron.config.model import ModelConfig
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import HydratronError
from hydratron.models.heads import FINE_TUNED
from hydratron.models.init import initialize, with_rows
from hydratron.models.language import LanguageModel
from hydratron.parallel.mesh import SINGLE
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamTable
from hydratron.tasks.table import PRETRAIN, row_of

# What a BERT may lack as a whole; everything else belongs to the trunk.
# FINE_TUNED is what a fine-tuning puts in their place; it needs the pooler but for spans.
HEADS = ("pooler", "lm_head", "binary_head")
# Vocabularies are padded to multiples of a power of two, times the ranks that share them.
MULTIPLES = tuple(2**power for power in range(3, 13))


@dataclass(frozen=True)
class Model:
    """`tensors` are fp32, on the CPU, and have at least the rows of the tokenizer.

    Those of HEADS that are not among them, the model does not have.  `task` is what it learnt, if
    that gave it another head than pretraining does.
    """

    options: ModelConfig
    tensors: Mapping[str, Tensor]
    tokenizer: Tokenizer
    task: str = PRETRAIN

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.vocab_size

    @property
    def heads(self) -> tuple[str, ...]:
        """Those of HEADS and FINE_TUNED that are here."""
        known = (*HEADS, *FINE_TUNED)
        return tuple(head for head in known if any(n.startswith(f"{head}.") for n in self.tensors))

    def table(self) -> ParamTable:
        """How our network splits and pads these tensors."""
        task = row_of(self.task, self.options.architecture).task()
        return task.parameters(self.options.shape(self.vocab_size), 0.02)

    def padded(self) -> dict[str, Tensor]:
        """The tensors with the rows that our network has, by `model.vocab_multiple`."""
        table, rows = self.table(), self.options.padded(self.vocab_size)
        return {
            name: with_rows(tensor, rows, self.vocab_size) if table[name].vocab else tensor
            for name, tensor in self.tensors.items()
        }

    def raw(self) -> dict[str, Tensor]:
        """The tensors without a row of padding."""
        table = self.table()
        return {
            name: tensor[: self.vocab_size] if table[name].vocab else tensor
            for name, tensor in self.tensors.items()
        }

    def network(self) -> LanguageModel:
        """Our network with these weights, to be evaluated; heads that are not here are drawn."""
        made = built(self.options, self.vocab_size, task=self.task)
        initialize(made, self.table(), 0, SINGLE, self.vocab_size)
        made.load_state_dict(self.padded(), strict=False)
        return made.eval().requires_grad_(False)


def built(
    options: ModelConfig, vocab_size: int, device: str = "cpu", task: str = PRETRAIN
) -> LanguageModel:
    """The whole network in one process, with empty weights."""
    learnt = row_of(task, options.architecture).task()
    # The streams seed torch's generator, which belongs to whoever calls this.
    with torch.random.fork_rng(devices=[]):
        return learnt.network(options.shape(vocab_size), RandomStreams(0), device=device)


def check(where: str, model: Model) -> None:
    """Raise HydratronError unless every tensor of the network is here in its shape, but for heads
    that are missing as a whole."""
    made = built(model.options, model.vocab_size, "meta", model.task)
    table, heads = model.table(), model.heads
    for name, parameter in made.named_parameters():
        head = name.partition(".")[0]
        optional = model.options.architecture == "bert" and model.task == PRETRAIN
        if optional and head in HEADS and head not in heads:
            continue
        if name not in model.tensors:
            raise HydratronError(f"{where}: has nothing that becomes {name}")
        found, needed = list(model.tensors[name].shape), list(parameter.shape)
        if table[name].vocab:
            check_rows(where, found[0], model.vocab_size)
            found, needed = found[1:], needed[1:]
        if found != needed:
            raise HydratronError(f"{where}: {name} would be {found}, not {needed}")


def check_rows(where: str, rows: int, entries: int) -> None:
    """Raise HydratronError unless a vocabulary of `rows` is one of `entries`, perhaps padded."""
    if rows != entries and rows not in {-(-entries // m) * m for m in MULTIPLES}:
        raise HydratronError(
            f"{where}: a vocabulary of {rows} rows, but its tokenizer has {entries} entries"
        )


def finite(where: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise HydratronError for a NaN or an infinity, with which nothing can be compared."""
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise HydratronError(f"{where}: {name} has values that are no numbers")


def summary(names: Iterable[str]) -> str:
    """`layers.{0..5}.mlp.norm.weight` for each group of names that differ in a number only."""
    groups: dict[str, list[int]] = {}
    for name in names:
        number = re.search(r"\d+", name)
        numbers = groups.setdefault(re.sub(r"\d+", "{}", name, count=1), [])
        if number:
            numbers.append(int(number[0]))
    told = []
    for pattern, numbers in groups.items():
        many = f"{{{min(numbers)}..{max(numbers)}}}" if len(numbers) > 1 else ""
        told.append(pattern.replace("{}", many or str(numbers[0])) if numbers else pattern)
    return ", ".join(told)
