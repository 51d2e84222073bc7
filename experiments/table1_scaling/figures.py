"""What is drawn of the scaling numbers: efficiencies, memory, and what of a step is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from hydratron.config.cluster import ClusterConfig
from hydratron.config.clusters import clusters
from hydratron.planner.closed_form import bubble_share
from hydratron.planner.fitting import GIB
from hydratron.planner.published import PlanRow, Published, sample
from hydratron.planner.time_model import step_time
from hydratron.reproduce.figure import Bars, Figure, Line, Panel

SMALLEST, LARGEST, TURING = "scaling_1.2b", "scaling_8.3b", "turing_nlg_17b"
OCEAN = {"gpt2_355m": "355 M", "gpt2_2.5b": "2.5 B", LARGEST: "8.3 B", TURING: "17 B"}
HELD = {
    "weights": ("weights", "masters"),
    "gradients": ("gradients",),
    "optimizer": ("optimizer",),
    "activations": ("activations", "recomputed"),
    "temporary": ("temporary",),
}
DEGREES, STAGES, HEADS = (1, 2, 4, 8), 8, 32
# A replica of the paper's largest jobs has 8 sequences; more micro-batches need a larger batch.
MICRO_BATCHES = (8, 16, 32, 64, 128)
CARDS = ("V100 32 GB", "H100 80 GB")
UNSEEN = "by the other rows"
Find = Callable[..., PlanRow | None]


def share_of(plan: PlanRow | None, cluster: ClusterConfig) -> float:
    """The share of the step that the tensor group's all-reduces take."""
    if plan is None:
        return math.nan
    own = sample(plan)
    return step_time(own.terms, own.parallel, cluster).tensor_share


def scaling_figure(rows: Sequence[Published]) -> Figure:
    """Efficiencies and speedups, fitted and by the other rows, beside the published ones."""
    weak = [row for row in rows if row.study in ("tensor", "data")]
    strong = [rows[0], *(row for row in rows if row.study == "strong")]
    last = [row for row in rows if row.study == "tensor"][-1:]
    heads = [*(row for row in rows if row.study == "heads"), *last]
    panels = [
        _bars("weak scaling, Table 1", "GPUs", "efficiency", weak, 5),
        _bars("strong scaling, 1.2 B", "GPUs", "speedup", strong, 3),
        _bars("8.3 B on 8 GPUs", "attention heads", "efficiency", heads, 3),
    ]
    return Figure("How training scales, planned and published", panels)


def memory_figure(find: Find) -> Figure:
    """GiB of a rank at its highest point, and the cards that it has to fit."""
    known = {c.gpu: c.memory_gib for c in clusters()}
    rules = [(known[card], card) for card in CARDS]
    largest = {str(tp): find(LARGEST, tp, heads=HEADS) for tp in DEGREES}
    ocean = {title: find(model, 1) for model, title in OCEAN.items()}
    panels = [
        _held("memory of a rank, 8.3 B", "tensor parallel", largest, rules[:1], 3),
        _held("the ocean in a glass: one GPU", "parameters", ocean, rules, 3),
    ]
    return Figure("What a rank holds, planned", [panel for panel in panels if panel])


def time_figure(
    rows: Sequence[Published], find: Find, cluster: ClusterConfig, share: float
) -> Figure:
    """What all-reduces take of a step, and what a pipeline idles at several micro-batches."""
    panels = [_shares(rows, find, cluster), _bubbles(share)]
    return Figure("What of a step is lost: all-reduces, and a pipeline's idle time", panels)


def _bars(title: str, x_label: str, y_label: str, rows: Sequence[Published], width: int) -> Bars:
    names = [str(row.heads if x_label != "GPUs" else row.gpus) for row in rows]
    stacks = {
        "fitted": [row.predictions[0] for row in rows],
        UNSEEN: [row.predictions[1] for row in rows],
    }
    marks = {"published": [row.value for row in rows]}
    return Bars(title, x_label, y_label, names, stacks, marks=marks, grouped=True, width=width)


def _held(
    title: str,
    x_label: str,
    plans: Mapping[str, PlanRow | None],
    rules: Sequence[tuple[float, str]],
    width: int,
) -> Bars | None:
    """GiB by category; nothing where nothing was planned."""
    shown = {name: plan for name, plan in plans.items() if plan is not None}
    stacks = {
        kind: [sum(plan[f"plan/peak_{part}"] for part in parts) / GIB for plan in shown.values()]
        for kind, parts in HELD.items()
    }
    return Bars(title, x_label, "GiB", list(shown), stacks, rules, width=width) if shown else None


def _shares(rows: Sequence[Published], find: Find, cluster: ClusterConfig) -> Bars:
    weak = [find(row.model, row.gpus, heads=row.heads) for row in rows if row.study == "tensor"]
    strong = [find(SMALLEST, tp) for tp in DEGREES]
    stacks = {
        "Table 1": [share_of(plan, cluster) for plan in weak],
        "1.2 B": [share_of(plan, cluster) for plan in strong],
    }
    names = list(map(str, DEGREES))
    return Bars(
        "all-reduces", "tensor parallel", "share of a step", names, stacks, grouped=True, width=2
    )


def _bubbles(share: float) -> Panel:
    bubbles = [bubble_share(STAGES, m) for m in MICRO_BATCHES]
    line, label = Line("GPipe", MICRO_BATCHES, bubbles), f"tp {STAGES}"
    title = f"8.3 B on {STAGES} GPUs"
    return Panel(
        title,
        "micro-batches",
        "share of a step lost",
        [line],
        x_log=True,
        rules=[(share, label)],
        width=2,
    )
