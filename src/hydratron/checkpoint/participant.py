"""What a checkpoint holds: named participants, each of which gives its state and takes it back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor


class Saved(NamedTuple):
    """What a checkpoint knows of a whole tensor before it is read."""

    shape: torch.Size
    dtype: torch.dtype


class Participant(Protocol):
    """Keys are the same on all ranks of a stage.

    A tensor is read into the one that `state` gives.
    """

    def state(self) -> Mapping[str, Any]:
        """Tensors, or DTensors where a rank holds a part, and JSON values; all else is refused.

        What is not a part is equal on all ranks; one rank's is written.
        """

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back all that was saved; the tensors are filled already."""


@runtime_checkable
class Divided(Participant, Protocol):
    """A participant of which each stage of a pipeline has other keys than the next one."""

    elsewhere: Collection[str]
    """The keys that only ranks of other stages have."""


@runtime_checkable
class MakesRoom(Participant, Protocol):
    """A participant whose tensors depend on what was saved, or are not the same on all ranks."""

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        """The tensors to read into; what it leaves out of `saved`, it does without knowingly."""
