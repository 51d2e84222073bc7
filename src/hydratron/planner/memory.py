"""Every byte that comes and goes, by the storages behind the tensors."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from hydratron.planner.internals import storage_of

OTHER = "activations"


class Event(NamedTuple):
    """A storage that comes (size > 0) or goes, in bytes, and what was at work then."""

    storage: int
    size: int
    moment: tuple[Any, ...]


class MemoryTrace:
    """Storages from the first time they are seen to their end.  A storage has one number."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._numbers: dict[int, int] = {}
        self._watched: dict[int, weakref.ref[Any]] = {}
        self.moment: tuple[Any, ...] = ()

    def see(self, tensor: Tensor) -> None:
        """Count the storage of a tensor, unless it is known."""
        storage = tensor.untyped_storage()
        key = storage_of(tensor)
        if key in self._numbers or not storage.nbytes():
            return
        number = len(self.events)
        size = storage.nbytes()
        self._numbers[key] = number
        self.events.append(Event(number, size, self.moment))

        def gone(_: Any) -> None:
            self._numbers.pop(key, None)
            self._watched.pop(key, None)
            self.events.append(Event(number, -size, self.moment))

        self._watched[key] = weakref.ref(storage, gone)

    def numbers(self, tensors: Iterable[Tensor]) -> set[int]:
        """The numbers of the storages of these tensors, all of which have been seen."""
        return {self._numbers[storage_of(t)] for t in tensors}

    def close(self) -> None:
        """See nothing any more."""
        self._watched.clear()


def peaks(
    events: Iterable[Event], categories: Mapping[int, str], first: int = 0
) -> dict[tuple[Any, ...], Counter[str]]:
    """For each moment the bytes by category when they were most, from event `first` on.

    `categories` names those of storages by number; the rest are activations.
    """
    live: Counter[str] = Counter()
    total = 0
    highest: dict[tuple[Any, ...], int] = {}
    found: dict[tuple[Any, ...], Counter[str]] = {}
    for place, (storage, size, moment) in enumerate(events):
        live[categories.get(storage, OTHER)] += size
        total += size
        if place >= first and total > highest.get(moment, -1):
            highest[moment] = total
            found[moment] = live.copy()
    return found
