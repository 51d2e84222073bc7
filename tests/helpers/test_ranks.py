"""The helper that the distributed tests stand on: results, failures and time-outs."""

from __future__ import annotations

import os
import signal
import time

import pytest
import torch
import torch.distributed as dist

from tests.helpers.ranks import RankError, run_ranks


def _sum(rank: int, world_size: int, start: float) -> torch.Tensor:
    total = torch.tensor(start + rank)
    dist.all_reduce(total)
    assert torch.get_num_threads() == 1
    return total


def _raise(rank: int, world_size: int) -> None:
    if rank == 1:
        raise ValueError("on purpose")
    dist.barrier()


def _die(rank: int, world_size: int) -> None:
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _sleep(rank: int, world_size: int) -> None:
    if rank == 0:
        time.sleep(60)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_every_rank_answers(world_size: int) -> None:
    results = run_ranks(_sum, world_size, 10.0)
    expected = 10.0 * world_size + sum(range(world_size))
    assert [result.item() for result in results] == [expected] * world_size


def test_a_failure_names_the_rank_and_carries_the_traceback() -> None:
    with pytest.raises(RankError, match=r"rank 1 raised:\n[\s\S]*ValueError: on purpose"):
        run_ranks(_raise, 2)


def test_a_killed_rank_is_named() -> None:
    with pytest.raises(RankError, match="rank 1 died"):
        run_ranks(_die, 2)


def test_a_rank_that_hangs_is_killed() -> None:
    with pytest.raises(RankError, match=r"no answer in time from ranks \[0\]"):
        run_ranks(_sleep, 2, timeout=1.0)
