"""Which GPUs hold the job, and the smallest change that makes it fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from hydratron.config.schema import Config
from hydratron.config.validate import problems
from hydratron.planner.plan import JobPlan, plan_job

GIB = 2**30
LARGEST_TENSOR = 16
"""A replica is not spread further: beyond one host its all-reduces leave it."""


@dataclass(frozen=True)
class Change:
    """Overrides under which the job fits, and its peak with them, in bytes."""

    overrides: tuple[str, ...]
    peak_bytes: int


def fits(peak_bytes: float, memory_gib: float, reserve_gib: float) -> bool:
    """Whether the peak leaves the reserve free."""
    return peak_bytes <= (memory_gib - reserve_gib) * GIB


def smallest_change(found: JobPlan, plan: Callable[[Config], JobPlan] = plan_job) -> Change | None:
    """The first of `_changes` under which a job that does not fit does; None when none does."""
    memory, reserve = found.config.cluster.memory_gib, found.config.plan.reserve_gib
    tp = found.config.parallel.tensor_model_parallel_size
    for config, overrides in _changes(found.config):
        # What does not depend on the batch is split over the ranks, whatever else changes.
        states = found.state_bytes * tp / config.parallel.tensor_model_parallel_size
        if not fits(states, memory, reserve):
            continue
        peak = plan(config).peak_bytes
        if fits(peak, memory, reserve):
            return Change(overrides, peak)
    return None


def _changes(config: Config) -> Iterator[tuple[Config, tuple[str, ...]]]:
    """Recomputation, then smaller micro-batches, then the same with twice the ranks per replica.

    The first two cost time, the third costs GPUs.  Those that cannot run are left out.
    """
    micro, tp = config.micro_batch_size, config.parallel.tensor_model_parallel_size
    widths = [tp * 2**n for n in range(8) if tp * 2**n <= max(tp, LARGEST_TENSOR)]
    sizes = [micro // 2**n for n in range(micro.bit_length()) if micro % 2**n == 0]
    recomputed = dict.fromkeys([config.model.recompute, "layer"])
    for width, recompute, size in product(widths, recomputed, sizes):
        if size < micro and recompute != "layer":
            continue
        changed = replace(
            config,
            model=replace(config.model, recompute=recompute),
            parallel=replace(config.parallel, tensor_model_parallel_size=width),
            trainer=replace(config.trainer, micro_batch_size=size),
        )
        options = {
            "model.recompute=layer": recompute != config.model.recompute,
            f"trainer.micro_batch_size={size}": size != micro,
            f"parallel.tensor_model_parallel_size={width}": width != tp,
        }
        overrides = tuple(text for text, differs in options.items() if differs)
        if overrides and not problems(changed):
            yield changed, overrides
