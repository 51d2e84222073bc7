"""The one row that a plan logs, as a training logs many: what sweeps of plans are compared by."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hydratron.planner.dry_run import CATEGORIES
from hydratron.planner.plan import JobPlan


def row(plan: JobPlan) -> dict[str, Any]:
    """What metrics.jsonl holds: seconds, bytes and counts under `plan/`, at step 0.

    The five terms are at the full speed of the hardware; `plan/seconds` and `plan/tensor_share` are
    at the efficiencies of the cluster.  `plan/flops` are those of one step on this rank, and
    `plan/parameters` those of the whole model.
    """
    held = plan.peak[1]
    found: dict[str, Any] = {f"plan/{term}": value for term, value in asdict(plan.terms).items()}
    found |= {
        "plan/seconds": plan.time.total,
        "plan/tensor_share": plan.time.tensor_share,
        "plan/flops": plan.micro_batches * sum(plan.flops.values()),
        "plan/parameters": plan.step.model_parameters,
        "plan/peak_bytes": plan.peak_bytes,
    }
    if plan.stages:
        found["plan/idle_share"] = plan.time.idle / plan.time.total
    found |= {f"plan/peak_{category}": held[category] for category in CATEGORIES}
    return {"step": 0, "tokens": 0} | found
