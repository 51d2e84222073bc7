"""The workspace as data: panels, groups, filter and columns derived from the report, offline."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence

from hydratron.config.keys import carries, marked
from hydratron.reporting.curves import WINDOWS, logged
from hydratron.reporting.differences import SEED, varying
from hydratron.reporting.metrics import ROWS, Metric
from hydratron.reporting.ranking import ranked_by
from hydratron.reporting.records import Run
from hydratron.reporting.seeds import seed_groups
from hydratron.reporting.tables import results

with warnings.catch_warnings():
    # The library still declares some of its models in pydantic's older style.
    warnings.simplefilter("ignore", DeprecationWarning)
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces.expr import Config, MetricType, Ordering, Summary
    from wandb_workspaces.reports.v2.interface import LinePlot

# The page's switch between axes: W&B has none for all panels at once, so each is a section.
AXES = {axis: ROWS[axis].unit for axis in ("tokens", "step", "seconds")}
REFUSED = ("So", "Sk", "Sm", "Sc", "Cs")
# What decides most about a run comes first among the keys that tell the groups apart.
LEADING = ("model.name", *marked("axis"))


def workspace(runs: Sequence[Run], title: str, entity: str, project: str) -> ws.Workspace:
    """The view that shows these runs as the static page does; nothing is sent.

    A section per x axis, and one with logarithmic y. Where a configuration was run under several
    seeds, runs are grouped by what else differs: W&B draws the mean and the band from the least
    to the largest value, over all runs of a group (the page has the 95 % interval of the mean, and
    leaves broken ones out). The filter
    takes all runs of the sweeps, jobs that start later too.
    """
    shown, by = logged(runs), ranked_by(runs)
    sections = [_section(f"by {axis}", shown, axis, runs) for axis in AXES]
    sections[0].is_open = True
    logarithmic = [metric for metric in shown if metric.log]
    sections.append(_section("by tokens, logarithmic", logarithmic, "tokens", runs, log=True))
    distinguishing = telling_apart(runs)
    grouped: list[MetricType] = []
    if seed_groups(runs):
        grouped += [Config(key) for key in distinguishing]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=plain(title),
        sections=sections,
        # W&B would draw the first ten runs only.
        settings=ws.WorkspaceSettings(x_axis="tokens", max_runs=max(1, len(runs))),
        runset_settings=ws.RunsetSettings(
            # As text, because the library quotes lists of names wrongly ("it's").
            filters=f'Metric("Group") in {_sweeps(runs)!r}',
            groupby=grouped,
            order=[Ordering(Summary(by.name), ascending=bool(by.lower_is_better))],
            pinned_columns=columns(runs, distinguishing),
        ),
    )


def telling_apart(runs: Sequence[Run]) -> list[str]:
    """The fewest configuration keys, taken in order, that separate all runs but for the seed."""
    differing = [
        key for key in varying(runs) if key not in SEED and not carries(key, "bookkeeping")
    ]
    leading = [key for key in LEADING if key in differing]
    kept: list[str] = []
    labels: list[tuple[str, ...]] = [()] * len(runs)
    for key in dict.fromkeys([*leading, *differing]):
        values = [run.texts.get(key, "null") for run in runs]
        finer = [(*label, value) for label, value in zip(labels, values, strict=True)]
        if len({*finer}) > len({*labels}):
            kept.append(key)
            labels = finer
    return kept


def columns(runs: Sequence[Run], distinguishing: Sequence[str]) -> list[str]:
    """The columns of the table of runs: name, what differs, state, then what came out."""
    seed = [key for key in varying(runs) if key in SEED]
    sweep = ["run:group"] if len(_sweeps(runs)) > 1 else []
    settings = [f"config:{_backend(key)}" for key in [*distinguishing, *seed]]
    summaries = [f"summary:{metric.name}" for metric in results(runs)]
    return ["run:displayName", *sweep, *settings, "run:state", *summaries]


def plain(title: str) -> str:
    """The title with `-` for the symbols, `=` and `+` among them, that W&B refuses in a name."""
    return "".join("-" if unicodedata.category(c) in REFUSED else c for c in title)


def _section(
    name: str, shown: Sequence[Metric], axis: str, runs: Sequence[Run], *, log: bool = False
) -> ws.Section:
    return ws.Section(
        name=name,
        panels=[_plot(metric, axis, runs, log) for metric in shown],
        layout_settings=ws.SectionLayoutSettings(columns=3, rows=3),
        panel_settings=ws.SectionPanelSettings(x_axis=axis),
    )


def _plot(metric: Metric, axis: str, runs: Sequence[Run], log: bool) -> LinePlot:
    plot = LinePlot(
        title=metric.title,
        x=axis,
        y=[metric.name],
        title_x=AXES[axis],
        title_y=metric.unit or None,
        log_y=log or None,
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        max_runs_to_show=max(1, len(runs)),
    )
    if metric.smoothed:
        # The page's moving average over `window` rows; W&B weighs the past by this factor.
        window = max(1.0, max((len(run.rows) for run in runs), default=0) / WINDOWS)
        plot.smoothing_type = "exponential"
        plot.smoothing_factor = 1 - 1 / window
        plot.smoothing_show_original = True
    return plot


def _sweeps(runs: Sequence[Run]) -> list[str]:
    """The W&B groups of the runs."""
    return sorted({run.sweep for run in runs})


def _backend(key: str) -> str:
    """`model.name` as W&B keeps it: each top-level entry of a configuration is under `value`."""
    first, *rest = key.split(".")
    return ".".join([first, "value", *rest])
