"""When a rank sends, receives and waits: seen around the groups' calls, from outside of the model.

Nothing in the package knows of it: a watched rank is handed watched groups and stages, any other
one the plain ones.  All ranks are on one host and read one clock (CLOCK_MONOTONIC), so that how
long a rank has waited needs no extra message: it waits from when it blocks until the last of those
that it needs has come to the same call, and from then on what it does is the transfer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage
from torch.utils._python_dispatch import TorchDispatchMode

from hydratron.parallel.mesh import ENDS, Mesh, ParallelGroup, Pending

SEND, RECEIVE = "send", "recv"


class Span(NamedTuple):
    """One call: `begun` is when the rank came to it, blocked from `blocked` to `ended`; seconds.

    `axis` is of the mesh, `ranks` whom the call joins: for a message its sender and its receiver.
    `nbytes` is what the rank gives, and 0 for what it receives.
    """

    operation: str
    axis: str
    ranks: tuple[int, ...]
    begun: float
    blocked: float
    ended: float
    nbytes: int


@dataclass
class Watch:
    """The spans of one rank since `start`; before, and after `stop`, there are none."""

    spans: list[Span] = field(default_factory=list)
    on: bool = False

    def start(self) -> None:
        self.spans, self.on = [], True

    def stop(self) -> list[Span]:
        self.on = False
        return self.spans

    def add(self, *told: Any) -> None:
        if self.on:
            self.spans.append(Span(*told))


@dataclass(frozen=True)
class WatchedGroup(ParallelGroup):
    """A group whose calls are spans of `watch`; all block but what is begun, which blocks later."""

    axis: str = ""
    watch: Watch = field(default_factory=Watch)

    def all_reduce(self, tensor: Tensor, op: Any = dist.ReduceOp.SUM) -> Tensor:
        plain = super().all_reduce
        return self._seen("all_reduce", tensor, lambda: plain(tensor, op))

    def begin_all_reduce(self, tensor: Tensor) -> Pending:
        begun = time.monotonic()
        pending = super().begin_all_reduce(tensor)

        def wait() -> Any:
            blocked = time.monotonic()
            pending.wait()
            self._add("all_reduce", begun, blocked, tensor)

        return _Waited(wait)

    def all_gather(self, tensor: Tensor) -> list[Tensor]:
        plain = super().all_gather
        return self._seen("all_gather", tensor, lambda: plain(tensor))

    def all_gather_stacked(self, tensor: Tensor) -> Tensor:
        plain = super().all_gather_stacked
        return self._seen("all_gather", tensor, lambda: plain(tensor))

    def reduce_scatter(self, parts: Tensor) -> Tensor:
        plain = super().reduce_scatter
        return self._seen("reduce_scatter", parts, lambda: plain(parts))

    def _seen(self, operation: str, given: Tensor, call: Callable[[], Any]) -> Any:
        if self.size == 1:
            return call()
        begun = time.monotonic()
        result = call()
        self._add(operation, begun, begun, given)
        return result

    def _add(self, operation: str, begun: float, blocked: float, given: Tensor) -> None:
        ranks, ended = tuple(dist.get_process_group_ranks(self.handle)), time.monotonic()
        self.watch.add(operation, self.axis, ranks, begun, blocked, ended, bytes_of(given))


def watched(mesh: Mesh, watch: Watch) -> Mesh:
    """The mesh with its groups watched."""

    def one(axis: str, group: ParallelGroup) -> ParallelGroup:
        return WatchedGroup(group.rank, group.size, group.handle, group.shared, axis, watch)

    axes = {axis: one(axis, group) for axis, group in mesh.axes.items()}
    return replace(mesh, axes=axes, ends=one(ENDS, mesh.ends))


def watched_stage(watch: Watch) -> type[PipelineStage]:
    """torch's stage, whose messages to and from its neighbours are spans of `watch`."""

    class WatchedStage(PipelineStage):
        def get_fwd_recv_ops(self, fwd_chunk_id: int) -> list[dist.P2POp]:
            return _seen(super().get_fwd_recv_ops(fwd_chunk_id), watch)

        def get_fwd_send_ops(self, fwd_chunk_id: int) -> list[dist.P2POp]:
            return _seen(super().get_fwd_send_ops(fwd_chunk_id), watch)

        def get_bwd_recv_ops(self, bwd_chunk_id: int) -> list[dist.P2POp]:
            return _seen(super().get_bwd_recv_ops(bwd_chunk_id), watch)

        def get_bwd_send_ops(self, bwd_chunk_id: int) -> list[dist.P2POp]:
            return _seen(super().get_bwd_send_ops(bwd_chunk_id), watch)

    return WatchedStage


def _seen(operations: list[dist.P2POp], watch: Watch) -> list[dist.P2POp]:
    for one in operations:
        one.op = _watched_call(one, watch)
    return operations


def _watched_call(one: dist.P2POp, watch: Watch) -> Callable[..., Any]:
    """What torch's schedules call in place of isend or irecv; the message is the operation's."""
    sends, here, plain = one.op is dist.isend, dist.get_rank(), one.op
    ranks = (here, one.peer) if sends else (one.peer, here)
    peer = {"group_dst" if sends else "group_src": one.group_peer}

    def call(*_: Any, **__: Any) -> _Waited:
        begun = time.monotonic()
        work = plain(one.tensor, group=one.group, tag=one.tag, **peer)
        nbytes = bytes_of(one.tensor) if sends else 0
        kind = SEND if sends else RECEIVE

        def wait() -> Any:
            blocked = time.monotonic()
            found = work.wait()
            watch.add(kind, "pipeline", ranks, begun, blocked, time.monotonic(), nbytes)
            return found

        return _Waited(wait)

    return call


class _Waited:
    """All that is asked of a call under way."""

    def __init__(self, wait: Callable[[], Any]) -> None:
        self.wait = wait


# Of torch's functional collectives, by what they are called elsewhere.
SHORT = {
    "all_reduce": "all_reduce",
    "all_gather_into_tensor": "all_gather",
    "reduce_scatter_tensor": "reduce_scatter",
    "all_to_all_single": "all_to_all",
    "wait_tensor": "",
}


class Functional(TorchDispatchMode):
    """The calls that DTensor makes of itself, which no group of ours sees."""

    def __init__(self, watch: Watch, axis: str = "tensor") -> None:
        super().__init__()
        self.watch, self.axis = watch, axis
        self.begun: dict[int, tuple[str, float, int]] = {}
        self.ranks = tuple(range(dist.get_world_size()))

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if of_its_own(types):
            return NotImplemented  # What DTensor makes of it comes here again.
        name, now = function.overloadpacket.__name__, time.monotonic()
        if function.namespace != "_c10d_functional" or name not in SHORT:
            return function(*args, **(kwargs or {}))
        result = function(*args, **(kwargs or {}))
        if name == "wait_tensor":
            known = self.begun.pop(args[0].untyped_storage().data_ptr(), None)
            if known is not None:
                operation, begun, nbytes = known
                ended = time.monotonic()
                self.watch.add(operation, self.axis, self.ranks, begun, now, ended, nbytes)
        else:
            place = result.untyped_storage().data_ptr()
            self.begun[place] = SHORT[name], now, bytes_of(args[0])
        return result


def of_its_own(types: Sequence[type]) -> bool:
    """Whether tensors of these types have their own way with an operation, as DTensors do."""
    return any(kind not in (Tensor, nn.Parameter) for kind in types)


def bytes_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class Part(NamedTuple):
    """Of a rank's step: waiting or sending, in seconds from the step's begin."""

    kind: str
    begin: float
    end: float


WAITING, SENDING = "waiting", "sending"


def parts(everyones: Sequence[Sequence[Span]], begins: Sequence[float]) -> list[list[Part]]:
    """Each rank's parts of one step, whose spans `everyones` and `begins` have by rank.

    The n-th call of some ranks on an axis is the n-th on each of them; a message is two.
    """
    arrived: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    named = [list(_numbered(spans)) for spans in everyones]
    for rank in named:
        for key, span in rank:
            arrived[key].append(span.begun)
    return [
        [part for key, span in rank for part in _cut(span, max(arrived[key]), begin)]
        for rank, begin in zip(named, begins, strict=True)
    ]


def _numbered(spans: Sequence[Span]) -> Any:
    seen: dict[tuple[Any, ...], int] = defaultdict(int)
    # In the order of the calls, which is not that in which they ended.
    for span in sorted(spans, key=lambda one: one.begun):
        message = span.operation in (SEND, RECEIVE)
        who = ("message" if message else "", span.axis, span.ranks)
        yield (*who, seen[who]), span
        seen[who] += 1


def _cut(span: Span, last: float, begin: float) -> list[Part]:
    """What it was blocked for: waiting until the `last` one came, then the transfer."""
    turn = min(max(last, span.blocked), span.ended)
    both = Part(WAITING, span.blocked, turn), Part(SENDING, turn, span.ended)
    return [one._replace(begin=one.begin - begin, end=one.end - begin) for one in both]


def total(found: Sequence[Part], kind: str) -> float:
    """Seconds of one kind."""
    return sum(part.end - part.begin for part in found if part.kind == kind)
