"""A plan on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from hydratron.planner.closed_form import bubble_share
from hydratron.planner.dry_run import CATEGORIES
from hydratron.planner.extrapolate import pattern
from hydratron.planner.fitting import GIB, Change
from hydratron.planner.plan import JobPlan
from hydratron.planner.record_file import per_layer
from hydratron.planner.recorder import PHASES, UPDATE
from hydratron.planner.time_model import TERMS


def show(plan: JobPlan, fitting: dict[str, bool], change: Change | None, console: Console) -> None:
    """Collectives, FLOPs, memory, what fits, and the time of a step."""
    config = plan.config
    parallel, model = config.parallel, config.model
    console.print(
        f"{model.name}, {parallel.label}: rank {plan.rank} of {parallel.world_size}, micro-batch "
        f"{config.micro_batch_size}, {plan.micro_batches} of them in a step of "
        f"{config.trainer.global_batch_size} sequences",
        highlight=False,
    )
    console.print(
        f"parameters: {plan.step.parameters:,} on this rank, {plan.step.model_parameters:,} in all",
        highlight=False,
    )
    (phase, module), _ = plan.peak
    where = f"{phase}, {module or 'outside of the layers'}"
    for title, table in (
        ("Collectives of a step", _collectives(plan)),
        *_stages(plan),
        ("TFLOP of a micro-batch on this rank", _flops(plan)),
        (f"Memory of this rank when it holds the most ({where})", _memory(plan)),
        (f"Seconds of a step on {config.cluster.name}", _seconds(plan)),
    ):
        console.print(f"\n[bold]{title}[/bold]", highlight=False)
        console.print(table)
    console.print()
    for line in _fits(plan, fitting, change):
        console.print(line, highlight=False)


def _table(texts: int, *columns: str) -> Table:
    """A table whose first `texts` columns are texts and wrap, and whose others are numbers."""
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    for number, column in enumerate(columns):
        text = number < texts
        table.add_column(
            column, justify="left" if text else "right", overflow="fold", no_wrap=not text
        )
    return table


def _collectives(plan: JobPlan) -> RenderableType:
    table = _table(3, "phase", "module", "collective", "calls", "bytes each")
    calls: Counter[tuple[str, ...]] = Counter()
    for call in plan.step.collectives:
        module = pattern(call.module) or "(model)"
        times = 1 if call.phase == UPDATE else plan.micro_batches
        what = f"{call.operation}, {call.group} x{call.size}"
        row = (call.phase, module, what, f"{call.bytes:,}")
        calls[row] += times
    for shown, count in sorted(calls.items(), key=lambda item: PHASES.index(item[0][0])):
        table.add_row(*shown[:-1], f"{count:,}", shown[-1])
    layers = ", ".join(f"{count} {phase}" for phase, count in per_layer(plan).items())
    table.caption = f"in each layer and micro-batch: {layers or 'none'}"
    table.caption_justify = "left"
    return table


def _stages(plan: JobPlan) -> Iterator[tuple[str, RenderableType]]:
    """What each stage of a pipeline holds and takes, and how long it waits."""
    if not plan.stages:
        return
    table = _table(1, "stage", "parameters", "in flight", "GiB", "busy seconds")
    for stage in plan.stages:
        table.add_row(
            stage.label,
            f"{stage.parameters:,}",
            f"{stage.in_flight}",
            f"{stage.peak_bytes / GIB:,.2f}",
            f"{stage.seconds:.3g}",
        )
    parallel, m = plan.config.parallel, plan.micro_batches
    p = parallel.pipeline_model_parallel_size
    table.caption = (
        f"{parallel.pipeline_schedule}, {m} micro-batches: of the time of those a stage waits "
        f"(p - 1) / (m + p - 1) = {bubble_share(p, m):.1%}"
    )
    table.caption_justify = "left"
    yield "Stages of the pipeline", table


def _flops(plan: JobPlan) -> RenderableType:
    table = _table(0, *PHASES[:3], "all", "published formula")
    counted = [plan.flops.get(phase, 0) for phase in PHASES[:3]]
    shown = (*counted, sum(counted), plan.closed_form_flops)
    table.add_row(*(f"{value / 1e12:,.6g}" for value in shown))
    return table


def _memory(plan: JobPlan) -> RenderableType:
    _, held = plan.peak
    table = _table(1, "", "GiB")
    for kind in CATEGORIES:
        if held[kind]:
            table.add_row(kind, f"{held[kind] / GIB:,.2f}")
    table.add_row("all", f"{held.total() / GIB:,.2f}", style="bold")
    return table


def _seconds(plan: JobPlan) -> RenderableType:
    """A row for each term: in a column for each the numbers of a pipeline would be cut."""
    table = _table(1, "", "seconds")
    for term, value in asdict(plan.time).items():
        if term in TERMS or value:
            table.add_row(term, f"{value:.3g}")
    table.add_row("all", f"{plan.time.total:.3g}", style="bold")
    speed = plan.config.tokens_per_step / plan.time.total
    # Behind the table, whose caption would be as narrow as the table is.
    more = f"shares of the peak and the cost of a kernel: {_origin(plan)}"
    return Group(table, Text(f"{speed:,.0f} tokens/s on all ranks together; {more}", style="dim"))


def _origin(plan: JobPlan) -> str:
    """Where the efficiencies come from, and what they make of the machine here."""
    cluster = plan.config.cluster
    flops = plan.closed_form_flops * plan.micro_batches
    share = flops / plan.time.total / (cluster.peak_tflops * 1e12)
    return f"fitted to {cluster.fitted_to}; this step reaches {share:.1%} of {cluster.gpu}'s peak"


def _fits(plan: JobPlan, fitting: dict[str, bool], change: Change | None) -> Iterator[str]:
    answers = ", ".join(f"{gpu} {'yes' if fit else 'no'}" for gpu, fit in fitting.items())
    reserve = plan.config.plan.reserve_gib
    yield f"Fits (with {reserve:g} GiB to spare): {answers}"
    gpu = plan.config.cluster.gpu
    if fitting[gpu] or not plan.config.plan.suggest:
        return
    if change is None:
        yield f"No smaller micro-batch, recomputation or wider replica makes it fit {gpu}"
    else:
        yield (
            f"Smallest change that fits {gpu}: {' '.join(change.overrides)} "
            f"({change.peak_bytes / GIB:.1f} GiB)"
        )
