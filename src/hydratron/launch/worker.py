"""The one door into training: one rank of one job, whoever started the process."""

from __future__ import annotations

import argparse
import os
import socket
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

from hydratron.config.load import load
from hydratron.config.schema import Config
from hydratron.errors import JobError
from hydratron.job import JobFolder, exit_code, write_json
from hydratron.launch import failure
from hydratron.launch.history import keep_rows, last_row, starting_point
from hydratron.launch.lines import told
from hydratron.launch.supervision import TRAIN, end_with_launcher, redirect_output

Train: TypeAlias = Callable[[Config, JobFolder, Path | None], dict[str, Any]]

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
    job_folder: Path, train: str = TRAIN, store: Path | None = None, tell: bool = False
) -> dict[str, Any]:
    """Run this process's rank of the job and return the job's result.

    `train` is `package.module:function`, called on every rank.  The process group meets over the
    file `store`, or over torchrun's address without one.  With `tell` it says on stderr how far the
    job is, as a launcher would.  Rank 0 writes result.json once every rank has finished.  An
    exception is recorded in failure.json, unless another rank's was first, and raised again.
    """
    rank = Rank.of(os.environ)
    folder = JobFolder(job_folder)
    try:
        config = load(folder.config)
        _check_size(config, rank)
        torch.set_num_threads(_threads(config, rank))
        _open_group(config, rank, store)
        start = starting_point(config, folder)
        if rank.rank == 0:
            folder.result.unlink(missing_ok=True)
            folder.failure.unlink(missing_ok=True)
            keep_rows(folder, start)
        # No rank may fail before the traces of an earlier attempt are gone.
        dist.barrier()
        telling = tell and rank.rank == 0
        with told(folder, config.trainer.max_steps) if telling else nullcontext():
            result = _import_train(train)(config, folder, start)
        dist.barrier()
        if rank.rank == 0:
            write_json(folder.result, result)
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


def torchrun_environment(rank: int, world_size: int) -> dict[str, str]:
    """What torchrun would set on one host: Lightning then starts no processes of its own."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "hydratron",
        # Never opened: the process group exists before anyone could ask for this address.
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "0",
    }


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


def _open_group(config: Config, rank: Rank, store: Path | None) -> None:
    accelerator = config.trainer.accelerator
    gpu = accelerator == "gpu" or (accelerator == "auto" and torch.cuda.is_available())
    device: torch.device | None = None
    if gpu:
        device = torch.device("cuda", rank.local_rank)
        torch.cuda.set_device(device)
    elif rank.local_world_size == rank.world_size:
        # gloo would look up this host's name otherwise, which need not resolve.
        names = [name for _, name in socket.if_nameindex()]
        loopback = next((name for name in ("lo", "lo0") if name in names), None)
        if loopback:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    meeting: dist.Store | None = None
    if store is not None:
        meeting = dist.FileStore(str(store), rank.world_size)
    elif rank.world_size == 1:
        meeting = dist.HashStore()
    dist.init_process_group(
        "nccl" if gpu else "gloo",
        store=meeting,
        rank=rank.rank,
        world_size=rank.world_size,
        timeout=timedelta(seconds=config.trainer.timeout_seconds),
        device_id=device,
    )


def _close_group() -> None:
    """Destroy the group; a thread, because nccl may wait for a peer that is gone."""
    if dist.is_initialized():
        closer = threading.Thread(target=dist.destroy_process_group, daemon=True)
        closer.start()
        closer.join(CLOSE_SECONDS)


def _report(folder: JobFolder, rank: Rank, error: BaseException) -> None:
    first = failure.raised(folder, rank.rank, error)
    cause = f"kind={type(error).__name__} rank={rank.rank}"
    step = last_row(folder).get("step", "-")
    action = "exit" if first else "exit after the failure of another rank"
    print(f"FAULT {cause} step={step} action={action}", file=sys.stderr, flush=True)


def main() -> int:
    """`python -m hydratron.launch.worker JOB_FOLDER`, alone for one rank or under torchrun."""
    parser = argparse.ArgumentParser(prog="python -m hydratron.launch.worker", description=__doc__)
    parser.add_argument("job_folder", type=Path, help="holds config.yaml; results are written here")
    parser.add_argument("--train", default=TRAIN, help="MODULE:FUNCTION called on every rank")
    parser.add_argument(
        "--supervised",
        action="store_true",
        help="write to JOB_FOLDER/logs, and end when standard input closes",
    )
    arguments = parser.parse_args()
    if "RANK" not in os.environ:
        os.environ.update(torchrun_environment(0, 1))
    if arguments.supervised:
        redirect_output(JobFolder(arguments.job_folder), int(os.environ["RANK"]))
        end_with_launcher(sys.stdin.fileno())
    result = worker(arguments.job_folder, arguments.train, tell=not arguments.supervised)
    # A non-zero code would have the agent end ranks that are still closing.
    return 0 if arguments.supervised else exit_code(result)


if __name__ == "__main__":
    sys.exit(main())
