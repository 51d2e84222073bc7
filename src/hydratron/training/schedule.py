"""The learning rate as a pure function of the optimizer step (facts 2.3; paper, section 4.2)."""

from __future__ import annotations

import math


def learning_rate(
    step: int, *, peak: float, floor: float, warmup_steps: int, decay_steps: int, decay: str
) -> float:
    """The rate of update number `step`, counted from 1, so that no update is made with rate 0.

    Linear from 0 to `peak` over `warmup_steps`, then `decay` ("cosine", "linear" or "constant")
    down to `floor` at `decay_steps`, and `floor` from there on.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    if decay == "constant":
        return peak
    if step >= decay_steps:
        return floor
    progress = (step - warmup_steps) / (decay_steps - warmup_steps)
    shapes = {"cosine": (math.cos(math.pi * progress) + 1) / 2, "linear": 1 - progress}
    return floor + (peak - floor) * shapes[decay]
