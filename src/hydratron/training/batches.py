"""The token samples of the data room as torch batches, and how long training waits for them."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hydratron.data.samples.assemble import Samples
from hydratron.errors import HydratronError, JobError
from hydratron.tasks.contract import Batch, Task, Uneven, alike


class StepBatches(Dataset[Any]):
    """One item is one step: its micro-batches as arrays, the samples their first dimension.

    Plain arrays: to receive a tensor of a worker, that worker must still be alive.
    """

    def __init__(self, samples: Samples, task: Task) -> None:
        self.samples, self.task = samples, task

    def __getitem__(self, step: Sequence[Sequence[int]]) -> Any:
        try:
            found = [[self.samples[i] for i in indices] for indices in step]
            return [self.task.collate(samples) for samples in alike(self.task, found)]
        except HydratronError as error:
            # Returned, because torch would bury the message of a worker in its traceback.
            return error


class Loader:
    """(micro-batches, counts) of one step after the other; `waited`: seconds spent waiting.

    `lengths`: of a task whose batches differ in length, how many sequences of each were given out.

    `steps` are lists of micro-batches, each a list of sample indices; `counts` [parts] is what the
    task counts in all of a step.  With `num_workers` that many processes read ahead; 0 reads when a
    step is asked for.
    """

    def __init__(
        self,
        samples: Samples,
        steps: Iterable[list[list[int]]],
        task: Task,
        num_workers: int = 0,
    ) -> None:
        # A generator of its own: a loader draws a seed when it starts, and from the default one
        # that would shift the dropout of a resumed run.
        self._loader: DataLoader[Any] = DataLoader(
            StepBatches(samples, task),
            sampler=steps,
            batch_size=None,
            num_workers=num_workers,
            collate_fn=_as_it_is,
            worker_init_fn=_belong_to_the_rank,
            generator=torch.Generator(),
        )
        self.task, self.waited = task, 0.0
        self.lengths: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[tuple[list[Batch], Tensor]]:
        began = time.perf_counter()
        for step in self._loader:
            self.waited += time.perf_counter() - began
            if isinstance(step, HydratronError):
                raise step
            batches = [{n: torch.from_numpy(a) for n, a in arrays.items()} for arrays in step]
            if isinstance(self.task, Uneven):
                for batch in batches:
                    *rows, length = batch["tokens"].shape
                    self.lengths[length] += math.prod(rows)
            yield batches, torch.stack([self.task.counts(batch) for batch in batches]).sum(dim=0)
            began = time.perf_counter()


def _as_it_is(batch: Any) -> Any:
    return batch


def _belong_to_the_rank(worker: int) -> None:
    """A worker ends when its rank does, however that is, and not before.

    A rank that is told to stop still needs its batches until it has saved.  Torch's own watch looks
    at the parent process, which may be a server of processes that outlives every rank.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    rank = multiprocessing.parent_process()
    assert rank is not None

    def watch() -> None:
        rank.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


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
