"""Run a function on real gloo ranks, so that a distributed test is an ordinary parametrised test.

`run_ranks(fn, world_size, *args)` forks its ranks from one warm server per test session.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hydratron.launch import warm

PRELOAD = (
    "torch",
    "torch.distributed",
    "torch.distributed.tensor",
    "hydratron.training.train",
)


class RankError(AssertionError):
    """A rank raised, died or gave no answer in time; the message names it."""


def run_ranks(
    fn: Callable[..., Any], world_size: int, *args: Any, timeout: float = 60.0
) -> list[Any]:
    """Call `fn(rank, world_size, *args)` on every rank and return the results in rank order.

    `fn` is a module-level function; its arguments and result are pickled.  It runs with the default
    gloo group open and one thread.  The first failure ends all ranks and raises RankError with
    the rank's traceback; so does `timeout` (seconds).
    """
    processes: list[BaseProcess] = []
    answers: dict[Connection, int] = {}
    with tempfile.TemporaryDirectory(prefix="ranks-") as folder:
        store = Path(folder) / "store"
        try:
            for rank in range(world_size):
                receiver, sender = Pipe(duplex=False)
                answers[receiver] = rank
                rank_args = (sender, fn, rank, world_size, args, str(store), timeout)
                processes.append(warm.start(_rank, rank_args, f"rank {rank}", PRELOAD))
                sender.close()
            results = _collect(answers, time.monotonic() + timeout)
            for process in processes:
                process.join(timeout)
            return results
        finally:
            for process in processes:
                process.kill()
                process.join()
                process.close()
            for receiver in answers:
                receiver.close()


def _collect(answers: dict[Connection, int], deadline: float) -> list[Any]:
    results: dict[int, Any] = {}
    waiting = dict(answers)
    while waiting:
        ready = wait(list(waiting), max(0.0, deadline - time.monotonic()))
        if not ready:
            raise RankError(f"no answer in time from ranks {sorted(waiting.values())}")
        for receiver in ready:
            assert isinstance(receiver, Connection)
            rank = waiting.pop(receiver)
            try:
                failed, content = pickle.loads(receiver.recv_bytes())
            except EOFError:
                raise RankError(f"rank {rank} died without an answer") from None
            if failed:
                raise RankError(f"rank {rank} raised:\n{content}")
            results[rank] = content
    return [results[rank] for rank in sorted(results)]


def _rank(
    sender: Connection,
    fn: Callable[..., Any],
    rank: int,
    world_size: int,
    args: tuple[Any, ...],
    store: str,
    timeout: float,
) -> None:
    import torch
    import torch.distributed as dist

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.dump_traceback_later(0.9 * timeout, exit=False)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            "gloo",
            store=dist.FileStore(store, world_size),
            rank=rank,
            world_size=world_size,
            timeout=timedelta(seconds=timeout),
        )
        answer = pickle.dumps((False, fn(rank, world_size, *args)))
    except BaseException:
        answer = pickle.dumps((True, traceback.format_exc()))
    sender.send_bytes(answer)
    if dist.is_initialized():
        dist.destroy_process_group()
