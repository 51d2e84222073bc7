"""`init_from=`: the weights of another checkpoint, at any degrees, for a run that starts anew.

A parameter is taken where the checkpoint has it, else it stays as it was drawn; what else the
checkpoint has is left there.  So is the head of another fine-tuning: its classes mean other things,
though there may be as many.  The rows of a vocabulary may be padded to another multiple, and the
first positions may be taken of more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hydratron.checkpoint import folder as checkpoints
from hydratron.checkpoint.participant import Saved
from hydratron.checkpoint.participants import view
from hydratron.checkpoint.trust import TrustedReader
from hydratron.config.load import load
from hydratron.config.resume import config_file
from hydratron.errors import HydratronError
from hydratron.models.heads import FINE_TUNED
from hydratron.models.init import with_rows
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.sharding import ParamTable, full_shape, shard
from hydratron.tasks.table import Row

MODEL = "model"
# What a training saves beside the model, which is not read.
BESIDE = ("optimizer", "random", "trainer", "loss_scale")
POSITIONS = "position_embeddings"


@dataclass(frozen=True)
class Fates:
    """Names of tensors: taken from the checkpoint, drawn anew, and left in the checkpoint."""

    taken: Sequence[str]
    drawn: Sequence[str]
    left: Sequence[str]


def fates(
    shapes: Mapping[str, Sequence[int]],
    table: ParamTable,
    saved: Mapping[str, Saved],
    vocab_size: int,
    where: object,
    anew: Sequence[str] = (),
) -> Fates:
    """What becomes of each parameter, of whole `shapes`, and of each tensor that was saved.

    `anew`: modules that are drawn though they may be there.  Raises HydratronError naming the first
    whose shape does not fit.
    """
    kept = {name for name in saved if name.partition(".")[0] in anew}
    saved, there_too = {name: of_it for name, of_it in saved.items() if name not in kept}, saved
    for name in shapes.keys() & saved.keys():
        here, there = list(shapes[name]), list(saved[name].shape)
        rows = here[1:] == there[1:] and (
            (table[name].vocab and there[0] >= vocab_size)
            or (name == POSITIONS and there[0] >= here[0])
        )
        if here != there and not rows:
            raise HydratronError(f"init_from={where}: {name} is {there} there and {here} here")
    return Fates(
        taken=[name for name in shapes if name in saved],
        drawn=[name for name in shapes if name not in saved],
        left=[name for name in there_too if name not in shapes or name in kept],
    )


def other_heads(task: Row, checkpoint: Path) -> tuple[str, ...]:
    """The heads of fine-tuning that the checkpoint has for another task than `task`.

    Two tasks share a head where they have one network and its answers mean the same: SQuAD's two.
    """
    theirs = load(config_file(checkpoint)).learning
    if not (theirs.examples and task.examples) or _answers(theirs) == _answers(task):
        return ()
    return FINE_TUNED


def _answers(task: Row) -> tuple[object, ...]:
    made = task.task()
    return made.network, *getattr(made, "names", ())


def saved_weights(checkpoint: Path) -> dict[str, Saved]:
    """What the checkpoint has of a model, by the names of parameters.

    Raises HydratronError where it is not whole, or has no model.
    """
    found = TrustedReader(checkpoint, checkpoints.verify(checkpoint)).saved()
    weights = {
        name.removeprefix(f"{MODEL}/"): of_it
        for name, of_it in found.items()
        if name.startswith(f"{MODEL}/")
    }
    if not weights:
        raise HydratronError(f"{checkpoint}: has no weights of a model")
    return weights


def take(
    checkpoint: Path,
    network: nn.Module,
    table: ParamTable,
    mesh: Mesh,
    vocab_size: int,
    cast: bool = False,
    task: Row | None = None,
) -> None:
    """Fill the network from the checkpoint, on all ranks; what is not there stays as it is.

    `task`: what the network is to learn, if that is a fine-tuning.
    """
    anew = other_heads(task, checkpoint) if task is not None else ()
    taker = Taker(checkpoint, network, table, mesh, vocab_size, anew)
    checkpoints.load(checkpoint, {MODEL: taker}, optional=BESIDE, cast=cast)


class Taker:
    """The participant that reads what fits, into the live parameters where it fits as it is."""

    def __init__(
        self,
        where: Path,
        network: nn.Module,
        table: ParamTable,
        mesh: Mesh,
        vocab_size: int,
        anew: Sequence[str] = (),
    ) -> None:
        self.anew = anew
        self.where, self.table, self.mesh, self.vocab_size = where, table, mesh, vocab_size
        self.parameters = dict(network.named_parameters())
        self.shapes = {
            name: full_shape(parameter.shape, table[name].shard_dim, mesh.tensor)
            for name, parameter in self.parameters.items()
        }

    def state(self) -> dict[str, Any]:
        return {}

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        found = fates(self.shapes, self.table, saved, self.vocab_size, self.where, self.anew)
        return {name: self._place(name, saved[name]) for name in found.taken}

    def _place(self, name: str, there: Saved) -> Tensor:
        if list(there.shape) == self.shapes[name]:
            return view(self.parameters[name], self.table[name].shard_dim, self.mesh)
        return torch.empty(there.shape, dtype=there.dtype)

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            spec, rows = self.table[name], self.shapes[name][0]
            if list(value.shape) != self.shapes[name]:
                whole = with_rows(value, rows, self.vocab_size) if spec.vocab else value[:rows]
                part = shard(whole, spec.shard_dim, self.mesh.tensor)
                self.parameters[name].copy_(part)
