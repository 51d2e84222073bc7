"""Collectives of CPU ranks on one host through memory that they share, instead of its loopback.

Each rank writes a piece of its tensor into a place of its own and counts it; when all have counted
the piece, each reads the others'.  Two halves take turns: who writes piece n + 2 has seen all count
n + 1, and so has seen all finish with n.  The memory has no name in any folder: it is gone with the
last of the ranks, whatever ends them.

Counters are plain words, whose order other processors see on x86 only, so it is offered there.
"""

from __future__ import annotations

import mmap
import os
import platform
import select
import time
from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

LINE = 64  # A cache line: each rank's counter has one of its own.
WORD = 8
PIECE = 1 << 20  # Bytes of a rank's place in each half: what the second-level cache holds.
SPINS = 400  # Looks at a counter before the core is given to others.
YIELDS = 2000
NAP_SECONDS, LOOK_SECONDS = 5e-5, 0.25
X86 = ("x86_64", "AMD64")

Combine = Callable[..., Tensor]
COMBINE: dict[dist.ReduceOp.RedOpType, Combine] = {
    dist.ReduceOp.SUM: torch.add,
    dist.ReduceOp.MAX: torch.maximum,
    dist.ReduceOp.MIN: torch.minimum,
}


class SharedMemory:
    """The collectives of one group of `size` ranks, called by all of them in the same order.

    Sums go through the ranks in their order, so that all have the same bits.  A peer that ended, or
    that does not come within `seconds`, raises torch's DistNetworkError, as gloo's would.
    """

    def __init__(self, memory: mmap.mmap, rank: int, pids: Sequence[int], seconds: float) -> None:
        self.rank, self.size, self.seconds = rank, len(pids), seconds
        self._counters = memoryview(memory).cast("B")[: self.size * LINE].cast("q")
        places = torch.frombuffer(memory, dtype=torch.uint8, offset=self.size * LINE)
        self._places = places.view(2, self.size, PIECE)
        self._turn = 0
        self._peers = {r: _watch(pid) for r, pid in enumerate(pids) if r != rank}

    @staticmethod
    def bytes_for(size: int) -> int:
        return size * LINE + 2 * size * PIECE

    def all_reduce(self, tensor: Tensor, op: dist.ReduceOp.RedOpType) -> Tensor:
        """Reduce `tensor` in place, as `ParallelGroup.all_reduce` does."""
        whole = tensor.detach()
        flat = whole.view(-1) if whole.is_contiguous() else whole.reshape(-1)
        combine = COMBINE[op]
        # An inference tensor may be written to as gloo does it, whatever the mode is now.
        with torch.inference_mode(tensor.is_inference()):
            for part in flat.split(PIECE // flat.element_size()):
                everyones = self._exchange(part)
                everyones[self.rank] = part
                _fold(combine, everyones, part)
            if not whole.is_contiguous():
                whole.copy_(flat.view(whole.shape))
        return tensor

    def all_gather(self, tensor: Tensor, parts: Sequence[Tensor]) -> None:
        """Fill `parts`, contiguous, by the tensors of all ranks."""
        size = PIECE // tensor.element_size()
        filled = zip(*(part.view(-1).split(size) for part in parts), strict=True)
        for mine, targets in zip(tensor.detach().reshape(-1).split(size), filled, strict=True):
            for target, source in zip(targets, self._exchange(mine), strict=True):
                target.copy_(source)

    def reduce_scatter(self, parts: Tensor, own: Tensor) -> None:
        """Of `parts` [size, ...], one for each rank, put the sum of this rank's into `own`."""
        size = PIECE // (parts.element_size() * self.size)
        rows = parts.detach().reshape(self.size, -1)
        for columns, target in zip(rows.split(size, 1), own.view(-1).split(size), strict=True):
            everyones = self._exchange(columns.reshape(-1))
            mine = [each.view(self.size, -1)[self.rank] for each in everyones]
            _fold(torch.add, mine, target)

    def _exchange(self, part: Tensor) -> list[Tensor]:
        """The pieces of all ranks, which stay there until the exchange after the next."""
        self._turn += 1
        count = part.numel() * part.element_size()
        half = self._places[self._turn % 2, :, :count].view(part.dtype)
        half[self.rank].copy_(part)
        self._counters[self.rank * LINE // WORD] = self._turn
        for peer in self._peers:
            self._await(peer)
        return list(half.unbind())

    def _await(self, peer: int) -> None:
        at, turn, counters = peer * LINE // WORD, self._turn, self._counters
        for _ in range(SPINS):
            if counters[at] >= turn:
                return
        for _ in range(YIELDS):
            if counters[at] >= turn:
                return
            os.sched_yield()
        end = time.monotonic() + self.seconds
        while counters[at] < turn:
            look = time.monotonic() + LOOK_SECONDS
            while counters[at] < turn and time.monotonic() < look:
                time.sleep(NAP_SECONDS)
            if counters[at] >= turn:
                return
            if _ended(self._peers[peer]):
                raise dist.DistNetworkError(f"rank {peer} of the group has ended")
            if time.monotonic() > end:
                waited = f"Timed out waiting {self.seconds:g} s"
                raise dist.DistNetworkError(f"{waited} for rank {peer} of the group")


def connect(
    handle: dist.ProcessGroup | None, rank: int, size: int, seconds: float
) -> SharedMemory | str:
    """The memory of a group's ranks, on all of them, or why they do not share any."""
    told: list[tuple[str, int]] = [("", 0)] * size
    dist.all_gather_object(told, (_host(), os.getpid()), group=handle)
    hosts, pids = zip(*told, strict=True)
    if "" in hosts:
        return "shared memory needs Linux on x86"
    if len(set(hosts)) > 1:
        return "the ranks are on several hosts"
    length = SharedMemory.bytes_for(size)
    place: list[int | str] = [_create(length) if rank == 0 else ""]
    dist.broadcast_object_list(place, group=handle, group_src=0)
    memory = _map(pids[0], place[0], length, own=rank == 0)
    reasons: list[str | None] = [None] * size
    reason = memory if isinstance(memory, str) else None
    dist.all_gather_object(reasons, reason, group=handle)
    if rank == 0 and isinstance(place[0], int):
        os.close(place[0])
    if isinstance(memory, str) or any(reasons):
        return next(filter(None, reasons), "") or str(reason)
    return SharedMemory(memory, rank, pids, seconds)


def _fold(combine: Combine, everyones: Sequence[Tensor], target: Tensor) -> None:
    """Combine in the order of the ranks; `target` may be one of them."""
    first, second, *others = everyones
    if not others:
        combine(first, second, out=target)
        return
    total = combine(first, second)
    for other in others:
        combine(total, other, out=total)
    target.copy_(total)


def _host() -> str:
    """Equal for processes that can see each other's files in /proc; empty where none can."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return f"{boot} {space}" if platform.machine() in X86 and hasattr(os, "memfd_create") else ""


def _create(length: int) -> int | str:
    """A file descriptor of that much memory, all of it there, or why not."""
    try:
        file = os.memfd_create("hydratron")
    except OSError as error:
        return f"no memory to share: {error.strerror}"
    try:
        os.posix_fallocate(file, 0, length)
    except OSError as error:
        os.close(file)
        return f"{length >> 20} MiB of memory to share: {error.strerror}"
    return file


def _map(owner: int, place: int | str, length: int, own: bool) -> mmap.mmap | str:
    if isinstance(place, str):
        return place
    try:
        file = place if own else os.open(f"/proc/{owner}/fd/{place}", os.O_RDWR)
    except OSError as error:
        return f"the first rank's memory: {error.strerror}"
    try:
        return mmap.mmap(file, length)
    except OSError as error:
        return f"the first rank's memory: {error.strerror}"
    finally:
        if not own:
            os.close(file)


def _watch(pid: int) -> int | None:
    """What becomes readable when the process ends, also while nobody has collected it."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _ended(watched: int | None) -> bool:
    return watched is not None and bool(select.select([watched], [], [], 0)[0])
