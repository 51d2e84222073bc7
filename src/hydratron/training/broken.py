"""Where a number that is not finite came from: the step, its samples and the ranks."""

from __future__ import annotations

import sys
from typing import Any

import torch.distributed as dist

from hydratron.training.step import Step, StepResult


def broken(step: Step, number: int, global_batch_size: int, result: StepResult) -> dict[str, Any]:
    """On all ranks the same: `step`, `samples` (first and last in the order), `ranks`.

    The ranks are those whose own loss is not finite; where all are, those with such a gradient,
    which is summed over the ranks by then, but for fp16.
    """
    assert step.own is not None
    gradients = [p.grad for p in step.network.parameters() if p.grad is not None]
    if step.own_largest is not None:
        gradients = [step.own_largest]
    level = int(any(not bool(gradient.isfinite().all()) for gradient in gradients))
    if not bool(step.own.isfinite().all()):
        level = 2
    levels: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(levels, level)
    ranks = [rank for rank, found in enumerate(levels) if found == max(levels)]
    last = number * global_batch_size
    samples = [last - global_batch_size, last - 1]
    if dist.get_rank() == 0:
        said = f"rank={','.join(map(str, ranks))} step={number} samples={samples[0]}-{samples[1]}"
        action = "stopped before the update"
        if result.skipped and step.scale is not None:
            action = f"skipped, {result.broken}, next loss scale {step.scale.value:g}"
        print(f"FAULT kind=NotFinite {said} action={action}", file=sys.stderr)
    return {"step": number, "samples": samples, "ranks": ranks}
