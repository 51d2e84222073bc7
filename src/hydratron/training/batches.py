"""The token samples of the data room as torch batches, and how long training waits for them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hydratron.errors import HydratronError, JobError


class Samples(Protocol):
    """Sample i is an array, as GPT's of seq_length + 1 tokens, or a dict of arrays, as BERT's."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Any: ...


class Batches(Protocol):
    """Lists of sample indices, one list per micro-batch."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[list[int]]: ...


class TokenBatches(Dataset[Any]):
    """One item is one micro-batch: the samples' arrays with the samples as their first dimension.

    Plain arrays: to receive a tensor of a worker, that worker must still be alive.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, indices: Sequence[int]) -> Any:
        try:
            samples = [self.samples[i] for i in indices]
            if isinstance(samples[0], dict):
                return {name: np.stack([s[name] for s in samples]) for name in samples[0]}
            return np.stack(samples)
        except HydratronError as error:
            # Returned, because torch would bury the message of a worker in its traceback.
            return error


class Loader:
    """Whole micro-batches in the order of `batches`; `waited` is the seconds spent waiting.

    With `num_workers` that many processes read ahead; 0 reads when a batch is asked for.
    """

    def __init__(self, samples: Samples, batches: Batches, num_workers: int = 0) -> None:
        # A generator of its own: a loader draws a seed when it starts, and from the default one
        # that would shift the dropout of a resumed run.
        self._loader: DataLoader[Any] = DataLoader(
            TokenBatches(samples),
            sampler=batches,
            batch_size=None,
            num_workers=num_workers,
            collate_fn=_as_it_is,
            worker_init_fn=_leave_signals_to_the_rank,
            generator=torch.Generator(),
        )
        self.waited = 0.0

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        began = time.perf_counter()
        for batch in self._loader:
            self.waited += time.perf_counter() - began
            if isinstance(batch, HydratronError):
                raise batch
            if isinstance(batch, dict):
                yield {name: torch.from_numpy(values) for name, values in batch.items()}
            else:
                yield torch.from_numpy(batch)
            began = time.perf_counter()


class CountedSteps:
    """Every micro-batch with what is counted in all micro-batches of its optimizer step.

    Holds one step's micro-batches, because a loss that is divided by how many tokens of the step
    were masked cannot be known after the first of them.
    """

    def __init__(self, loader: Loader, accumulation: int, count: Callable[[Any], Tensor]) -> None:
        self.loader, self.accumulation, self.count = loader, accumulation, count

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        batches = iter(self.loader)
        while step := list(islice(batches, self.accumulation)):
            counts = torch.stack([self.count(batch) for batch in step]).sum(dim=0)
            yield from ((batch, counts) for batch in step)


def _as_it_is(batch: Any) -> Any:
    return batch


def _leave_signals_to_the_rank(worker: int) -> None:
    """A rank that is told to stop still needs its batches until it has saved."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def dead_workers_named() -> Iterator[None]:
    """Says what a dead data worker means; torch notices it wherever the rank happens to be."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        said = " ".join(str(error).split()).rstrip(".")
        advice = "a common cause is too little memory: fewer data.num_workers need less"
        raise JobError(f"a data worker died: {said}; {advice}") from error
