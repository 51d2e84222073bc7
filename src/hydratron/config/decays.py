"""The shapes of `schedule.decay`.  One more is a function and a row here, and a file in `conf/`.

The formulas are Megatron's (facts 2.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A decay from `peak`, reached after `warmup_steps`, to `floor` at `decay_steps`."""

    peak: float
    floor: float
    warmup_steps: int
    decay_steps: int

    def progress(self, step: int) -> float:
        """0 at the end of the warm-up, 1 from `decay_steps` on."""
        if step >= self.decay_steps:
            return 1.0
        return (step - self.warmup_steps) / (self.decay_steps - self.warmup_steps)

    def above_floor(self, share: float) -> float:
        """The rate at which this share of the way from `floor` to `peak` is left."""
        return self.floor + (self.peak - self.floor) * share


def cosine(step: int, span: Span) -> float:
    return span.above_floor((math.cos(math.pi * span.progress(step)) + 1) / 2)


def linear(step: int, span: Span) -> float:
    return span.above_floor(1 - span.progress(step))


def constant(step: int, span: Span) -> float:
    """`peak` for ever, whatever `floor` is."""
    return span.peak


def inverse_sqrt(step: int, span: Span) -> float:
    """peak sqrt(warmup / step) but never below `floor`, to which it drops after `decay_steps`."""
    if step > span.decay_steps:
        return span.floor
    return max(span.floor, span.peak * math.sqrt(max(span.warmup_steps, 1) / step))


DECAYS: dict[str, Callable[[int, Span], float]] = {
    "cosine": cosine,
    "linear": linear,
    "constant": constant,
    "inverse_sqrt": inverse_sqrt,
}
