"""The one door into training: one rank of one job, whoever started the process."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.distributed as dist

from hydratron.checkpoint.manifest import Verified
from hydratron.config.load import load
from hydratron.config.schema import Config
from hydratron.errors import HydratronError, JobError
from hydratron.job import JobFolder, exit_code, write_json
from hydratron.launch import failure
from hydratron.launch.accelerators import accelerator
from hydratron.launch.environment import inherited, one_host, within_host
from hydratron.launch.history import choose, keep_rows, last_row, unchanged
from hydratron.launch.lines import told
from hydratron.launch.meeting import Meeting
from hydratron.launch.ownership import owned
from hydratron.launch.requeue import requeue
from hydratron.launch.supervision import TRAIN, end_with_launcher, redirect_output

Train: TypeAlias = Callable[[Config, JobFolder, Verified | None], dict[str, Any]]

CLOSE_SECONDS = 5.0


@dataclass(frozen=True)
class Rank:
    """Which of the processes this one is."""

    rank: int
    local_rank: int
    world_size: int
    local_world_size: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Rank:
        """From the variables of torchrun; without any, the only rank."""
        rank = int(environment.get("RANK", 0))
        world_size = int(environment.get("WORLD_SIZE", 1))
        return cls(
            rank=rank,
            local_rank=int(environment.get("LOCAL_RANK", rank)),
            world_size=world_size,
            local_world_size=int(environment.get("LOCAL_WORLD_SIZE", world_size)),
        )


def worker(
    job_folder: Path,
    train: str = TRAIN,
    meeting: Meeting | None = None,
    prepared: Path | None = None,
    tell: bool = False,
) -> dict[str, Any]:
    """Run this process's rank of the job and return the job's result.

    `train` is `package.module:function`, called on every rank.  The process group opens at
    the `meeting`, or at torchrun's address without one.  `prepared` is where the tokens lie, if not
    where config.yaml says.  With `tell` it says on stderr how far the job is, as a launcher would.
    Rank 0 writes result.json once every rank has finished.  An exception is recorded in
    failure.json, unless another rank's was first, and raised again.
    """
    rank = Rank.of(os.environ)
    folder = JobFolder(job_folder)
    try:
        config = load(folder.config)
        if prepared is not None:
            config.data.prepared = str(prepared)
        _check_size(config, rank)
        torch.set_num_threads(_threads(config, rank))
        _open_group(config, rank, meeting)
        start, passed = choose(config, folder)
        unchanged(config, folder, None if start is None else start.path)
        if rank.rank == 0:
            folder.result.unlink(missing_ok=True)
            folder.failure.unlink(missing_ok=True)
            keep_rows(folder, None if start is None else start.path)
            print(*(f"hydratron: {line}\n" for line in passed), sep="", end="", file=sys.stderr)
        # No rank may fail before the traces of an earlier attempt are gone.
        dist.barrier()
        telling = tell and rank.rank == 0
        with told(folder, config.trainer.max_steps) if telling else nullcontext():
            result = _import_train(train)(config, folder, start)
        dist.barrier()
        if rank.rank == 0:
            write_json(folder.result, result | ({"passed_over": passed} if passed else {}))
        dist.barrier()
    except BaseException as error:
        _report(folder, rank, error)
        _close_group()
        raise
    _close_group()
    return result


def _import_train(name: str) -> Train:
    module, function = name.split(":")
    found: Train = getattr(import_module(module), function)
    return found


def _check_size(config: Config, rank: Rank) -> None:
    needed = config.parallel.world_size
    if needed != rank.world_size:
        raise JobError(f"parallel={config.parallel.label}: {needed} ranks, not {rank.world_size}")


def _threads(config: Config, rank: Rank) -> int:
    if config.launch.threads_per_rank:
        return config.launch.threads_per_rank
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // rank.local_world_size)


def _open_group(config: Config, rank: Rank, meeting: Meeting | None) -> None:
    timeout = timedelta(seconds=config.trainer.timeout_seconds)
    device: torch.device | None = None
    if accelerator(config.trainer.accelerator, rank.local_world_size) == "gpu":
        device = torch.device("cuda", rank.local_rank)
        torch.cuda.set_device(device)
    if rank.local_world_size == rank.world_size:
        os.environ.update(within_host())
    store: dist.Store | None = None
    if rank.world_size == 1:
        store = dist.HashStore()
    elif meeting is not None:
        store = meeting.store(rank.world_size, timeout)
    dist.init_process_group(
        "gloo" if device is None else "nccl",
        store=store,
        rank=rank.rank,
        world_size=rank.world_size,
        timeout=timeout,
        device_id=device,
    )


def _close_group() -> None:
    """Destroy the group; a thread, because nccl may wait for a peer that is gone."""
    if dist.is_initialized():
        closer = threading.Thread(target=dist.destroy_process_group, daemon=True)
        closer.start()
        closer.join(CLOSE_SECONDS)


def _report(folder: JobFolder, rank: Rank, error: BaseException) -> None:
    try:
        first = failure.raised(folder, rank.rank, error)
    except OSError:  # On a full disk the launcher says so.
        first = True
    cause = f"kind={type(error).__name__} rank={rank.rank}"
    step = last_row(folder).get("step", "-")
    action = "exit" if first else "exit after the failure of another rank"
    print(f"FAULT {cause} step={step} action={action}", file=sys.stderr, flush=True)


def main() -> int:
    """`python -m hydratron.launch.worker JOB_FOLDER`, alone for one rank or under torchrun."""
    parser = argparse.ArgumentParser(prog="python -m hydratron.launch.worker", description=__doc__)
    parser.add_argument("job_folder", type=Path, help="holds config.yaml; results are written here")
    parser.add_argument("--train", default=TRAIN, help="MODULE:FUNCTION called on every rank")
    parser.add_argument("--prepared", type=Path, help="the prepared tokens, where they were moved")
    parser.add_argument(
        "--supervised",
        action="store_true",
        help="write to JOB_FOLDER/logs, and end when standard input closes",
    )
    arguments = parser.parse_args()
    job = JobFolder(arguments.job_folder)
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # Whatever RANK says, it is no torchrun's.
        alone = inherited(os.environ) | one_host(0, 1)
        os.environ.clear()
        os.environ.update(alone)
    first = os.environ["RANK"] == "0"
    if arguments.supervised:
        redirect_output(job, int(os.environ["RANK"]))
        end_with_launcher(sys.stdin.fileno())
    try:
        with nullcontext() if arguments.supervised else owned(job, first):
            tell = not arguments.supervised
            result = worker(job.path, arguments.train, prepared=arguments.prepared, tell=tell)
        if first and result.get("signal") == "SIGUSR1":
            print(f"hydratron: {requeue(os.environ)}", file=sys.stderr)
    except HydratronError as error:
        if arguments.supervised:
            raise  # The log has the traceback.
        print(f"hydratron: {error}", file=sys.stderr)
        return 1
    # A non-zero code would have the agent end ranks that are still closing.
    return 0 if arguments.supervised else exit_code(result)


if __name__ == "__main__":
    sys.exit(main())
