"""When a stage of a pipeline computes and when it waits, seen from outside of the model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch.distributed.pipelining import PipelineStage

FORWARD, BACKWARD = "forward", "backward"


class Span(NamedTuple):
    """Seconds of `time.monotonic()`, which ranks of one host share; `number` of the micro-batch."""

    kind: str
    number: int
    start: float
    end: float


class TimeLine:
    """The spans in which a rank computed, in their order; what lies between them is sending,
    receiving and waiting for what others have not sent yet.

    Give its `stage` to a `Pipeline` as `make` before the first step.  On a GPU the host only
    starts the work, so that this is of CPUs.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def stage(self, *given: Any, **named: Any) -> PipelineStage:
        """One of torch's stages, whose work this time line sees."""
        made = _Seen(*given, **named)
        made.line = self
        return made

    @contextmanager
    def span(self, kind: str, number: int) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.spans.append(Span(kind, number, start, time.monotonic()))

    def idle_share(self, start: float, end: float) -> float:
        """Of the seconds from start to end the share in which nothing was computed."""
        busy = sum(max(0.0, min(span.end, end) - max(span.start, start)) for span in self.spans)
        return 1.0 - busy / (end - start)


class _Seen(PipelineStage):
    line: TimeLine

    def forward_one_chunk(self, fwd_chunk_id: int, *given: Any, **named: Any) -> Any:
        with self.line.span(FORWARD, fwd_chunk_id):
            return super().forward_one_chunk(fwd_chunk_id, *given, **named)

    def backward_one_chunk(self, bwd_chunk_id: int, *given: Any, **named: Any) -> None:
        with self.line.span(BACKWARD, bwd_chunk_id):
            super().backward_one_chunk(bwd_chunk_id, *given, **named)
