"""Collectives through shared memory: gloo's results, and an error where a peer is gone or late."""

from __future__ import annotations

import mmap
import os
import subprocess
from typing import Any

import pytest
import torch
import torch.distributed as dist

from hydratron.launch.hangs import TIMED_OUT
from hydratron.parallel import shared_memory
from hydratron.parallel.shared_memory import PIECE, SharedMemory, connect
from tests.helpers.ranks import run_ranks

SUM, MAX, MIN = dist.ReduceOp.SUM, dist.ReduceOp.MAX, dist.ReduceOp.MIN
TYPES = (torch.float32, torch.bfloat16, torch.float64, torch.int64)
# Nothing, one number, a piece to the last byte, several and a rest.
SIZES = (0, 1, PIECE // 4, 3 * PIECE // 4 + 7)


def opened(rank: int, size: int, seconds: float = 20.0) -> SharedMemory:
    found = connect(dist.group.WORLD, rank, size, seconds)
    assert isinstance(found, SharedMemory), found
    return found


def drawn(rank: int, size: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(size + 31 * rank)
    return torch.randn(size, generator=generator).mul(100).to(dtype)


def as_gloo_does(rank: int, world_size: int) -> list[str]:
    """What differs from gloo: bits for two ranks, more than rounding for more."""
    shared, wrong = opened(rank, world_size), []
    for dtype in TYPES:
        for size in SIZES:
            for op in (SUM, MAX, MIN):
                ours, theirs = drawn(rank, size, dtype), drawn(rank, size, dtype)
                shared.all_reduce(ours, op)
                dist.all_reduce(theirs, op)
                close = torch.allclose(ours.double(), theirs.double(), rtol=0.02, atol=2.0)
                if not (torch.equal(ours, theirs) if world_size == 2 else close):
                    wrong.append(f"all_reduce {op} {dtype} {size}")
    mine = drawn(rank, 300_000, torch.float32)
    parts = [torch.empty_like(mine) for _ in range(world_size)]
    shared.all_gather(mine, parts)
    if any(not torch.equal(p, drawn(r, 300_000, torch.float32)) for r, p in enumerate(parts)):
        wrong.append("all_gather")
    rows = torch.stack([drawn(rank, 300_000, torch.float32) + r for r in range(world_size)])
    own, total = torch.empty(300_000), rows.clone()
    shared.reduce_scatter(rows, own)
    dist.all_reduce(total)
    if not torch.allclose(own, total[rank], rtol=1e-6, atol=1e-4):
        wrong.append("reduce_scatter")
    across = drawn(rank, 12, torch.float32).view(3, 4).t()
    expected = across.clone()
    shared.all_reduce(across, SUM)
    dist.all_reduce(expected)
    if not torch.allclose(across, expected):
        wrong.append("not contiguous")
    return wrong


@pytest.mark.parametrize("ranks", [2, 3])
def test_results_are_those_of_gloo(ranks: int) -> None:
    assert run_ranks(as_gloo_does, ranks) == [[]] * ranks


def two_groups(rank: int, world_size: int) -> list[float]:
    """Rows and columns of four ranks, in turn: no group hears another's."""
    rows = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    columns = [dist.new_group([0, 2]), dist.new_group([1, 3])]
    row = connect(rows[rank // 2], rank % 2, 2, 20.0)
    column = connect(columns[rank % 2], rank // 2, 2, 20.0)
    assert isinstance(row, SharedMemory)
    assert isinstance(column, SharedMemory)
    found = []
    for step in range(50):
        value = torch.tensor([float(rank + step)])
        row.all_reduce(value, SUM)
        column.all_reduce(value, SUM)
        found.append(value.item())
    return found


def test_several_groups_at_once() -> None:
    expected = [6.0 + 4 * step for step in range(50)]
    assert run_ranks(two_groups, 4) == [expected] * 4


def lost(seconds: float, ended: bool) -> str:
    """What an all-reduce says whose one peer is another process, which never comes."""
    memory = mmap.mmap(-1, SharedMemory.bytes_for(2))
    peer = subprocess.Popen(["sleep", "60"])
    try:
        shared = SharedMemory(memory, 0, [os.getpid(), peer.pid], seconds)
        if ended:
            peer.kill()  # Nobody has collected it yet.
        with pytest.raises(dist.DistNetworkError) as caught:
            shared.all_reduce(torch.ones(3), SUM)
    finally:
        peer.kill()
        peer.wait()
    return str(caught.value)


def test_a_peer_that_has_ended_or_is_late_is_an_error_as_gloo_s() -> None:
    assert lost(60.0, ended=True) == "rank 1 of the group has ended"
    said = lost(0.5, ended=False)
    assert said == "Timed out waiting 0.5 s for rank 1 of the group"
    assert TIMED_OUT.search(said)  # By which launch.hangs knows it.


def test_where_nothing_can_be_shared_all_ranks_say_why() -> None:
    assert run_ranks(without_memory, 2) == ["4 MiB of memory to share: No space left on device"] * 2


def without_memory(rank: int, world_size: int) -> SharedMemory | str:
    def full(*arguments: Any) -> None:
        raise OSError(28, os.strerror(28))

    shared_memory.os.posix_fallocate = full  # type: ignore[attr-defined]
    return connect(dist.group.WORLD, rank, world_size, 5.0)
