"""Blocks encoded by all cores: worker processes that nobody survives, and results in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from multiprocessing.connection import Connection

from hydratron.data.interruptible import interruptible
from hydratron.data.preparer.blocks import Block
from hydratron.data.preparer.work import Encoded, Job, Worker
from hydratron.errors import DataError, HydratronError, Problem

# Blocks on their way for each worker: one in work, one waiting.
AHEAD = 2


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def encode_blocks(
    blocks: Iterable[Block], job: Job, workers: int
) -> Generator[Encoded, None, None]:
    """Every block encoded, in order; a single one in this process, to spare the others' start.

    Raises DataError, in the order of the input, and when a worker dies.
    """
    failures: list[HydratronError] = []
    readable = _until_failure(blocks, failures)
    first = list(islice(readable, 2))
    if len(first) < 2:
        worker = Worker(job)
        yield from (interruptible(partial(worker, block)) for block in first)
    else:
        yield from _encode_by_pool(chain(first, readable), job, workers)
    if failures:
        raise failures[0]


def _until_failure(blocks: Iterable[Block], failures: list[HydratronError]) -> Iterator[Block]:
    """What was read before a failure may hold an earlier one, which is for a worker to find."""
    try:
        yield from blocks
    except HydratronError as error:
        failures.append(error)


def _encode_by_pool(blocks: Iterable[Block], job: Job, workers: int) -> Iterator[Encoded]:
    spawn = multiprocessing.get_context("spawn")
    running: deque[Future[Encoded]] = deque()
    alive, stop = spawn.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, spawn, _start, (job, alive))
    try:
        for block in blocks:
            with _without_interrupts():
                running.append(pool.submit(_encode, block))
            if len(running) > AHEAD * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except BrokenProcessPool:
        expected = "a worker died, perhaps for want of memory; fewer workers need less"
        raise DataError([Problem("prepare", "", expected)]) from None
    except BaseException:
        stop.close()  # nobody waits for what they are doing
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        stop.close()
        alive.close()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes started here never see Ctrl-C, which is for the parent; it sees one later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# A pool hands its tasks no state, so each worker process keeps its own here.
_worker: Worker


def _start(job: Job, alive: Connection) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()
    # One thread each: the processes share the cores already.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _worker = Worker(job)


def _end_with_parent(alive: Connection) -> None:
    """A killed parent cannot end its workers, but its end of the pipe closes with it."""
    alive.poll(None)
    os._exit(1)


def _encode(block: Block) -> Encoded:
    return _worker(block)
