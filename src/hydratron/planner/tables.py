"""A plan on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table

from hydratron.planner.dry_run import CATEGORIES
from hydratron.planner.extrapolate import pattern
from hydratron.planner.fitting import GIB, Change
from hydratron.planner.plan import JobPlan
from hydratron.planner.record_file import per_layer
from hydratron.planner.recorder import PHASES, UPDATE


def show(plan: JobPlan, fitting: dict[str, bool], change: Change | None, console: Console) -> None:
    """Collectives, FLOPs, memory, what fits, and the time of a step."""
    config = plan.config
    parallel, model = config.parallel, config.model
    console.print(
        f"{model.name}, {parallel.label}: rank 0 of {parallel.world_size}, micro-batch "
        f"{config.micro_batch_size}, {plan.micro_batches} of them in a step of "
        f"{config.trainer.global_batch_size} sequences",
        highlight=False,
    )
    console.print(
        f"parameters: {plan.step.parameters:,} on this rank, {plan.step.model_parameters:,} in all",
        highlight=False,
    )
    for part in (_collectives(plan), _flops(plan), _memory(plan), _seconds(plan)):
        console.print(part)
    for line in _fits(plan, fitting, change):
        console.print(line, highlight=False)


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False
    )
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _collectives(plan: JobPlan) -> RenderableType:
    table = _table("Collectives in a step", "phase", "module", "operation", "calls", "bytes each")
    calls: Counter[tuple[str, str, str, int]] = Counter()
    for call in plan.step.collectives:
        where = f"{call.operation} over {call.size} ({call.group})"
        times = 1 if call.phase == UPDATE else plan.micro_batches
        calls[call.phase, pattern(call.module) or "(model)", where, call.bytes] += times
    for phase in PHASES:
        for (own, module, where, nbytes), count in calls.items():
            if own == phase:
                table.add_row(phase, module, where, f"{count:,}", f"{nbytes:,}")
    layers = ", ".join(f"{count} {phase}" for phase, count in per_layer(plan).items())
    table.caption = f"in each layer and micro-batch: {layers or 'none'}"
    table.caption_justify = "left"
    return table


def _flops(plan: JobPlan) -> RenderableType:
    table = _table("TFLOP of a micro-batch on this rank", *PHASES[:3], "all", "published formula")
    counted = [plan.flops[phase] for phase in PHASES[:3]]
    shown = (*counted, sum(counted), plan.closed_form_flops)
    table.add_row(*(f"{value / 1e12:,.6g}" for value in shown))
    return table


def _memory(plan: JobPlan) -> RenderableType:
    (phase, module), held = plan.peak
    where = f"{phase}, {module or 'outside of the layers'}"
    table = _table(f"Memory of this rank at its highest point ({where})", "GiB", *CATEGORIES, "all")
    parts = [held[kind] for kind in CATEGORIES]
    table.add_row("", *(f"{value / GIB:,.2f}" for value in (*parts, held.total())))
    return table


def _seconds(plan: JobPlan) -> RenderableType:
    cluster, time = plan.config.cluster, plan.time
    table = _table(f"Seconds of a step on {cluster.name}", *asdict(time), "all", "tokens/s, all")
    speed = plan.config.tokens_per_step / time.total
    parts = [f"{value:.3g}" for value in (*asdict(time).values(), time.total)]
    table.add_row(*parts, f"{speed:,.0f}")
    return table


def _fits(plan: JobPlan, fitting: dict[str, bool], change: Change | None) -> Iterator[str]:
    answers = ", ".join(f"{gpu} {'yes' if fit else 'no'}" for gpu, fit in fitting.items())
    reserve = plan.config.plan.reserve_gib
    yield f"Fits (with {reserve:g} GiB to spare): {answers}"
    gpu = plan.config.cluster.gpu
    if fitting[gpu]:
        return
    if change is None:
        yield f"No smaller micro-batch, recomputation or wider replica makes it fit {gpu}"
    else:
        yield (
            f"Smallest change that fits {gpu}: {' '.join(change.overrides)} "
            f"({change.peak_bytes / GIB:.1f} GiB)"
        )
