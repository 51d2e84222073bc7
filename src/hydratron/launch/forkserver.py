"""launch=local: the ranks of a job as processes of a warm forkserver on this host."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from hydratron.config.schema import Config
from hydratron.errors import JobError
from hydratron.job import JobFolder
from hydratron.launch import failure, hangs, memory, warm
from hydratron.launch.environment import inherited, one_host
from hydratron.launch.meeting import HERE, Meeting, check
from hydratron.launch.supervision import TRAIN, end_with_launcher, redirect_output, sigterm_raises

POLL_SECONDS = 0.25
# After the first failure the other ranks lose their peer and end by themselves; then they are made
# to.  A rank that saves a checkpoint on SIGTERM gets longer when the launcher itself is stopped.
GRACE_SECONDS = 3.0
TERMINATE_SECONDS = 2.0
INTERRUPT_SECONDS = 30.0
# The second is what every run imports when it starts; it takes longer than all else of the start.
WANDB = ("wandb", "wandb.sdk.launch.inputs.internal")


def launch(
    config: Config,
    folder: JobFolder,
    poll: Callable[[], None],
    train: str = TRAIN,
    every: float = POLL_SECONDS,
) -> None:
    """Run all ranks of the job in `folder` and return when none is left.

    `poll` is called each `every` seconds.  What became of the job is in result.json or
    failure.json.  An exception in this process (Ctrl-C, SIGTERM) ends the ranks before it leaves.
    """
    check()
    world_size = config.parallel.world_size
    preload = _preload(config, train)
    environment = inherited(os.environ)
    ranks: list[BaseProcess] = []
    killed = memory.kills()
    with sigterm_raises():
        try:
            with socket.create_server((HERE, 0)) as listener:
                port = listener.getsockname()[1]
                for rank in range(world_size):
                    meeting = Meeting(port, listener if rank == 0 else None)
                    own = environment | one_host(rank, world_size)
                    ranks.append(_start(rank, (folder.path, rank, own, meeting, train), preload))
            _supervise(ranks, folder, poll, killed, every)
        except BaseException:
            _end(ranks, INTERRUPT_SECONDS)
            raise
        finally:
            for process in ranks:
                process.kill()
                process.join()
                process.close()


def warm_up(config: Config, several: bool, train: str = TRAIN) -> None:
    """Let the imports of the job's ranks begin, which take seconds, before its inputs are there.

    The only job of a command imports its logger while it trains; `several` would each do so.
    """
    warm.begin(_preload(config, train, several))


def _preload(config: Config, train: str, several: bool = True) -> list[str]:
    logger = WANDB if config.logger.kind == "wandb" and several else ()
    return ["torch", "hydratron.launch.worker", train.split(":")[0], *logger]


def _start(rank: int, arguments: tuple[object, ...], preload: Sequence[str]) -> BaseProcess:
    try:
        return warm.start(_rank, arguments, f"rank {rank}", preload)
    except (EOFError, ConnectionError) as error:
        raise JobError("the server of rank processes broke off: see the output above") from error


def _supervise(
    ranks: Sequence[BaseProcess],
    folder: JobFolder,
    poll: Callable[[], None],
    killed: int,
    every: float,
) -> None:
    living = dict(enumerate(ranks))
    while living:
        wait([process.sentinel for process in living.values()], every)
        poll()
        codes = {rank: process.exitcode for rank, process in living.items()}
        failed = {rank: code for rank, code in codes.items() if code}
        living = {rank: process for rank, process in living.items() if codes[rank] is None}
        # A rank that has failed may hang on its way out, in a thread or a data worker of its own.
        if failed or folder.failure.exists():
            _record(failed, folder, killed)
            _join(list(living.values()), GRACE_SECONDS)
            _record({rank: process.exitcode for rank, process in living.items()}, folder, killed)
            hangs.explain(folder, len(ranks))
            _end(list(living.values()), TERMINATE_SECONDS)
            return


def _record(codes: Mapping[int, int | None], folder: JobFolder, killed: int) -> None:
    """Name the ranks that ended by themselves; signals first, they explain the other codes.

    `killed`: how many processes the kernel had killed for memory when the job began.
    """
    starved = memory.kills() > killed
    for rank, code in sorted(codes.items(), key=lambda item: item[1] or 0):
        if code:
            failure.ended(folder, rank, code, starved)


def _join(ranks: Sequence[BaseProcess], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for process in ranks:
        process.join(max(0.0, deadline - time.monotonic()))


def _end(ranks: Sequence[BaseProcess], seconds: float) -> None:
    for process in ranks:
        process.terminate()
    _join(ranks, seconds)
    for process in ranks:
        process.kill()


def _rank(
    path: Path,
    rank: int,
    environment: dict[str, str],
    meeting: Meeting,
    train: str,
) -> None:
    """In the new process: the launcher's environment of now, this rank's variables, the worker."""
    launcher = parent_process()
    assert launcher is not None
    end_with_launcher(launcher.sentinel)
    redirect_output(JobFolder(path), rank)
    from hydratron.launch.worker import worker

    os.environ.clear()
    os.environ.update(environment)
    worker(path, train, meeting)
