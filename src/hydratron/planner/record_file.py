"""plan.json: everything that a plan found, for other programs.

rank           of whom it is, of world_size: all ranks of a stage are alike, and of a pipeline it
               is the first of the stage that holds the most
stages         of a pipeline: each kind of stage, the micro-batches that it holds at a time, its
               parameters, peak and seconds without waiting
micro_batches  how often forward and backward run in a step, over micro_batch_size sequences each
parameters     of this rank, and of the whole model
collectives    in the order of the calls: phase (forward, recompute, backward, stages, update),
               module, operation, group (tensor, data, pipeline, ends), ranks in it, bytes that
               this rank gives, or receives.
               Those outside the update come once for each micro-batch
per_layer      collectives of the tensor group in one layer, by phase
flops          of one micro-batch by phase, their sum, and the published formula
memory         the highest point: phase, module, bytes by category, and the sum
peaks          bytes at the highest point of every phase and module
fits           whether each GPU holds the peak and the reserve; `change`: overrides that fit
seconds        of one step by term, their sum, and the tensor group's share of it
work           calls, FLOPs and bytes moved of every operation, by phase and module
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from hydratron.config.load import to_dict
from hydratron.planner.extrapolate import pattern
from hydratron.planner.fitting import Change
from hydratron.planner.plan import JobPlan

CHOSEN = ("model", "parallel", "trainer", "plan", "cluster")


def content(plan: JobPlan, fitting: dict[str, bool], change: Change | None) -> dict[str, Any]:
    """What plan.json holds."""
    config, time = plan.config, plan.time
    (phase, module), held = plan.peak
    whole = to_dict(config)
    return {
        "rank": plan.rank,
        "world_size": config.parallel.world_size,
        "micro_batch_size": config.micro_batch_size,
        "micro_batches": plan.micro_batches,
        "vocab_size": plan.vocab_size,
        "stages": [asdict(stage) for stage in plan.stages],
        "parameters": {"rank": plan.step.parameters, "model": plan.step.model_parameters},
        "flops": {
            **plan.flops,
            "total": sum(plan.flops.values()),
            "published_formula": plan.closed_form_flops,
        },
        "memory": {"phase": phase, "module": module, "bytes": dict(held), "total": held.total()},
        "fits": fitting,
        "change": None if change is None else asdict(change),
        "seconds": asdict(time) | {"total": time.total, "tensor_share": time.tensor_share},
        "per_layer": per_layer(plan),
        "config": {key: whole[key] for key in CHOSEN},
        "collectives": [asdict(call) for call in plan.step.collectives],
        "peaks": [
            {"phase": p, "module": m, "bytes": peak.total()}
            for (p, m), peak in plan.step.peaks.items()
        ],
        "work": [asdict(work) for work in plan.step.work],
    }


def per_layer(plan: JobPlan) -> dict[str, int]:
    """Collectives of the tensor group in each layer, by phase; all layers are alike."""
    calls = Counter(
        call.phase
        for call in plan.step.collectives
        if call.group == "tensor" and pattern(call.module).startswith("layers.*")
    )
    stages = plan.config.parallel.pipeline_model_parallel_size
    layers = plan.config.model.num_layers // stages
    return {phase: count // layers for phase, count in calls.items()}
