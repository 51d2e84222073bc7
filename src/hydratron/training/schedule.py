"""The learning rate as a pure function of the optimizer step (facts 2.3; paper, section 4.2)."""

from __future__ import annotations

from hydratron.config.decays import DECAYS, Span


def learning_rate(
    step: int, *, peak: float, floor: float, warmup_steps: int, decay_steps: int, decay: str
) -> float:
    """The rate of update number `step`, counted from 1, so that the first has not the rate 0.

    Linear from 0 to `peak` over `warmup_steps`, then a shape of `DECAYS` down to `floor` at
    `decay_steps`.  Where `floor` is 0, as `schedule.min_lr` is by default, and `decay_steps` the
    last step, the last update has the rate 0 and changes nothing; Megatron's does the same.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    return DECAYS[decay](step, Span(peak, floor, warmup_steps, decay_steps))
