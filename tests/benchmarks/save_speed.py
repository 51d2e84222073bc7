"""`python -m tests.benchmarks.save_speed [--ranks 1] [--megabytes 128]`: a checkpoint's cost.

Every rank saves its part of the tensors with all others as one checkpoint, and writes the same part
by a plain `torch.save` to a file; the two take turns, and both are on the disk (fsync) before the
clock stops.  Prints the medians, their ratio by turns, and the sizes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from hydratron.checkpoint.folder import save
from tests.helpers.ranks import run_ranks


class Part:
    """Tensors that one rank alone has."""

    def __init__(self, rank: int, tensors: dict[str, Tensor]) -> None:
        self.tensors = {f"of_rank_{rank}/{name}": each for name, each in tensors.items()}

    def state(self) -> dict[str, Any]:
        return dict(self.tensors)

    def load(self, state: Any) -> None:
        raise NotImplementedError


def plain(path: Path, tensors: dict[str, Tensor]) -> None:
    with path.open("wb") as file:
        torch.save(tensors, file)
        file.flush()
        os.fsync(file.fileno())


def measure(
    rank: int, ranks: int, folder: Path, megabytes: int, rounds: int, threads: int
) -> tuple[list[float], list[float], int, int]:
    """Seconds of every save, seconds of every plain one, and bytes of each on the disk."""
    torch.set_num_threads(threads)
    count = 100
    rows = megabytes * (1 << 20) // 4 // 1024 // count // ranks
    tensors = {f"tensor_{number}": torch.randn(rows, 1024) for number in range(count)}
    participants = {"part": Part(rank, tensors)}
    ours: list[float] = []
    theirs: list[float] = []
    size = plain_size = 0
    for turn in range(2 * rounds + 2):  # The first two warm up.
        dist.barrier()
        begin = time.perf_counter()
        if turn % 2:
            save(folder / "step_00000001", participants, 1, {})
        else:
            plain(folder / f"plain_{rank}.pt", tensors)
            dist.barrier()
        (ours if turn % 2 else theirs).append(time.perf_counter() - begin)
        if rank == 0 and turn % 2:
            plains = [*folder.glob("plain_*")]
            size = _bytes((folder / "step_00000001").iterdir())
            plain_size = _bytes(plains)
            shutil.rmtree(folder / "step_00000001")
            for file in plains:
                file.unlink()
        dist.barrier()
    return ours[1:], theirs[1:], size, plain_size


def _bytes(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--megabytes", type=int, default=128, help="of all tensors together")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0, help="of a rank; 0 shares the cores")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    given = parser.parse_args()
    # The ranks import it by this name; here it is `__main__`.
    from tests.benchmarks.save_speed import measure as measure_of_ranks

    threads = given.threads or max(1, len(os.sched_getaffinity(0)) // given.ranks)
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        asked = (Path(scratch), given.megabytes, given.rounds, threads)
        ours, theirs, size, plain_size = run_ranks(
            measure_of_ranks, given.ranks, *asked, timeout=600.0
        )[0]
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
    print(
        f"{given.ranks} ranks of {threads} threads, {given.megabytes} MB: a save"
        f" {median(ours):.3f} s, torch.save {median(theirs):.3f} s; {median(ratios):.2f} times"
        f" (quartiles {low:.2f} to {high:.2f}; the quickest of each {min(ours):.3f} and"
        f" {min(theirs):.3f} s) in time, {size / plain_size:.3f} in size"
    )


if __name__ == "__main__":
    main()
