"""What takes part in a checkpoint: anything that gives its state and takes it back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from hydratron.errors import HydratronError

State = dict[str, Any]


@dataclass(frozen=True)
class Saved:
    """A tensor in a checkpoint: the shape of the whole, and its type."""

    shape: torch.Size
    dtype: torch.dtype


class Participant(Protocol):
    """Has a name in the checkpoint.  A state is flat: names -> tensors or JSON values.

    A tensor of which this rank holds a part is a DTensor, which knows its place in the whole; a
    plain one is the same on every rank that gives it.  JSON values are those of the first rank.
    """

    def state(self) -> State:
        """What is saved.  Nothing else of the participant is."""

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        """The tensors into which those that were `saved` of it are read, by their names."""

    def load(self, state: State) -> None:
        """Take over what was saved: the tensors of `room`, filled, and the JSON values."""


def divided(name: str, state: Mapping[str, Any]) -> tuple[dict[str, Tensor], State]:
    """The tensors of a state and its JSON values; anything else is refused by its name."""
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    values = {key: value for key, value in state.items() if key not in tensors}
    for key, value in values.items():
        try:
            same = json.loads(json.dumps(value, allow_nan=False)) == value
        except (TypeError, ValueError):
            same = False
        if not same:
            raise HydratronError(
                f"checkpoint: {name}, {key}: {type(value).__name__} is neither a tensor nor JSON"
            )
    return tensors, values
