"""Published speeds beside the planned steps that they are of: all as seconds of a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydratron.config.cluster import ClusterConfig
from hydratron.config.schema import ParallelConfig
from hydratron.planner.calibration import Sample, fit, leave_one_out, predicted
from hydratron.planner.time_model import TERMS, Terms

EFFICIENCY, SPEEDUP = "efficiency", "speedup"
PlanRow = Mapping[str, Any]


@dataclass(frozen=True)
class Published:
    """A published number, its planned step, and the seconds that two fits predict for it.

    `value` is the share of the baseline's FLOP/s of one GPU that each GPU reaches (`efficiency`),
    or the baseline's time over this one (`speedup`); `flops` those of a step of one rank.
    `fitted` is by a fit to all numbers, `other` by one to all but this.
    """

    study: str
    model: str
    heads: int
    quantity: str
    value: float
    sample: Sample
    flops: float
    fitted: float = math.nan
    other: float = math.nan

    @property
    def gpus(self) -> int:
        return self.sample.parallel.world_size

    @property
    def job(self) -> str:
        parallel = self.sample.parallel
        exposed = parallel.data_parallel_size > 1 and not self.sample.overlapped
        label = f"{self.model} {parallel.label}, {self.heads} heads"
        return label + ", no overlap" * exposed

    @property
    def errors(self) -> tuple[float, float]:
        """predicted / published - 1 of the number itself, by both fits."""
        seconds = self.sample.seconds
        return seconds / self.fitted - 1, seconds / self.other - 1

    @property
    def predictions(self) -> tuple[float, float]:
        """What both fits say in place of `value`."""
        first, second = self.errors
        return self.value * (1 + first), self.value * (1 + second)


def sample(plan: PlanRow, seconds: float = math.nan, overlapped: bool = False) -> Sample:
    """Of a plan's row with its degrees (`planner.row`, `reproduce.collect`)."""
    keys = ("tensor_model_parallel_size", "data_parallel_size")
    tp, dp = (int(plan[f"parallel.{key}"]) for key in keys)
    parallel = ParallelConfig(tp, dp)
    terms = Terms(**{term: float(plan[f"plan/{term}"]) for term in TERMS})
    return Sample(terms, parallel, seconds, overlapped)


def find_plan(
    plans: Sequence[PlanRow],
    default: str,
    model: str,
    tp: int,
    dp: int = 1,
    heads: int | None = None,
    numerics: str | None = None,
) -> PlanRow | None:
    """The first plan of these degrees and numerics, which are `default` unless named."""
    wanted = {
        "model": model,
        "parallel.tensor_model_parallel_size": tp,
        "parallel.data_parallel_size": dp,
        "plan.numerics": numerics or default,
    }
    if heads is not None:
        wanted["model.num_attention_heads"] = heads
    return next((p for p in plans if all(p[k] == value for k, value in wanted.items())), None)


def published(
    entries: Sequence[Mapping[str, Any]], tflops: float, find: Callable[..., PlanRow | None]
) -> tuple[list[Published], list[str]]:
    """Every published number that was planned, and one line for each that was not.

    The first entry is the baseline, which reaches `tflops`; `find(model, tp, dp, heads=)` gives its
    plan.  Without the baseline's plan no other number has a time.  `overlap` of an entry says that
    its data-parallel all-reduces ran behind the backward.
    """
    rows: list[Published] = []
    lacking: list[str] = []
    for entry in entries:
        model, heads, tp, dp = (entry[key] for key in ("model", "heads", "tp", "dp"))
        plan = find(model, tp, dp, heads=heads)
        if plan is None or (not rows and lacking):
            lacking.append(f"{model} tp{tp} dp{dp}, {heads} heads")
            continue
        flops = float(plan["plan/flops"])
        quantity = SPEEDUP if SPEEDUP in entry else EFFICIENCY
        value = float(entry[quantity])
        work = rows[0].flops if rows and quantity == SPEEDUP else flops
        timed = sample(plan, work / (tflops * 1e12 * value), entry.get("overlap", False))
        rows.append(Published(entry["study"], model, heads, quantity, value, timed, flops))
    return rows, lacking


def fitted(
    rows: Sequence[Published], cluster: ClusterConfig
) -> tuple[ClusterConfig, list[Published]]:
    """The cluster fitted to the rows, and the rows with what both fits predict."""
    samples = [row.sample for row in rows]
    cluster = fit(samples, cluster)
    others = leave_one_out(samples, cluster)
    return cluster, [
        replace(row, fitted=predicted(row.sample, cluster), other=other)
        for row, other in zip(rows, others, strict=True)
    ]
