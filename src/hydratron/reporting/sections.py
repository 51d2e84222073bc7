"""The parts of the page as HTML; every text from a run passes through `html.escape`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from html import escape

from hydratron.job import flatten
from hydratron.reporting.colours import ALL, NONE, Legends
from hydratron.reporting.differences import shared
from hydratron.reporting.findings import SHOWN, findings
from hydratron.reporting.formats import setting
from hydratron.reporting.metrics import OTHER, PERFORMANCE, TRAINING, Metric
from hydratron.reporting.records import BROKEN, Run
from hydratron.reporting.run_tables import common

OVERRIDES = "overrides"
MARKS = {True: ("good", "✓"), False: ("bad", "✗"), None: ("", "·")}

SEED_SWITCH = """<fieldset id="seeds"><legend>show</legend>
<label><input type="radio" name="seeds" value="runs"><span>runs</span></label>
<label><input type="radio" name="seeds" value="mean" checked><span>mean over seeds</span></label>
</fieldset>"""

MEAN_NOTE = (
    '<p class="note" id="mean-note">Lines are means over seeds; a band is the 95 % interval of the'
    " mean (Student's t), the same as in the table. Broken runs are drawn by themselves.</p>"
)


def facts(runs: Sequence[Run]) -> str:
    """How many runs there are and how they ended."""
    states = Counter(run.status for run in runs)
    total = f"{len(runs)} run{'s' if len(runs) != 1 else ''}"
    text = f"{total}: {', '.join(f'{n} {state}' for state, n in states.items())}"
    text += f"; {runs[0].name}" if len(runs) == 1 else ""
    alike = [f"{value} {title}" for title, value in common(runs).items()]
    return escape(text + (f"; {', '.join(alike)} each" if alike else ""))


def live_note(reload_seconds: float | None) -> str:
    """When a page that is being rewritten was written."""
    if reload_seconds is None:
        return ""
    return f' <span class="live">live, written at {time.strftime("%H:%M:%S")}</span>'


def finding_list(runs: Sequence[Run]) -> str:
    items = []
    for finding in findings(runs):
        kind, mark = MARKS[finding.holds]
        text = escape(finding.sentence())
        items.append(f'<li><span class="mark {kind}">{mark}</span><span>{text}</span></li>')
    if not items:
        return ""
    first, more = items[:SHOWN], items[SHOWN:]
    html = f'<ul class="findings">{"".join(first)}</ul>'
    if more:
        rest = f'<ul class="findings">{"".join(more)}</ul>'
        html += f"<details><summary>{len(more)} more findings</summary>{rest}</details>"
    return html


def failure_list(runs: Sequence[Run]) -> str:
    """Every run that did not reach its end, with the first cause and the traceback."""
    items = []
    for run in runs:
        if run.status == "completed":
            continue
        text = f"<strong>{escape(run.name)}: {escape(run.status)}</strong> {escape(_reached(run))}"
        if run.cause is not None:
            text += f"<br>{escape(run.cause)}"
        if run.failure.get("traceback"):
            trace = escape(str(run.failure["traceback"]).strip())
            text += f"<details><summary>traceback</summary><pre>{trace}</pre></details>"
        kind = "broken" if run.status in BROKEN else "waiting"
        items.append(f'<li class="{kind}">{text}</li>')
    return f'<ul class="failures">{"".join(items)}</ul>' if items else ""


def legend_choices(drawn: Legends) -> str:
    """By which options the curves are told apart, where there is a choice."""
    if len(drawn.offered) < 2:
        return ""
    colours = [legend.key for legend in drawn.offered]
    dashes = [x.key for x in drawn.offered if x.key != ALL and x.dashes]
    return _select("colour", colours) + _select("dash", [NONE, *dashes])


def panels(shown: Sequence[Metric]) -> str:
    """The main chart, then small ones in sections: how it learned, how fast it ran, the rest."""
    if not shown:
        return '<p class="none">No run has logged any metrics.</p>'
    html = ""
    for title in (TRAINING, PERFORMANCE, OTHER):
        row = [metric for metric in shown if metric.panel == title]
        if row and title == TRAINING:
            html += f'<div class="grid">{_figure(row.pop(0), "main")}</div>'
        if row:
            width = {1: "half", 2: "half", 3: "third"}.get(len(row), "")
            figures = "".join(_figure(metric, width) for metric in row)
            html += f'<h2>{title}</h2><div class="grid">{figures}</div>'
    return html


def provenance(runs: Sequence[Run]) -> str:
    """Where the numbers come from: what every run says of itself, each distinct value once."""
    recorded = [_by_topic(run.provenance) for run in runs]
    items: dict[str, str] = {"runs": str(len(runs))}
    for key in dict.fromkeys(key for topics in recorded for key in topics if key != OVERRIDES):
        items[key] = _few(list(dict.fromkeys(t[key] for t in recorded if key in t)))
    items["seed"] = ", ".join(dict.fromkeys(setting(run.seed) for run in runs))
    asked = [run.provenance.get(OVERRIDES) or [] for run in runs]
    alike = [str(text) for text in asked[0] if all(text in other for other in asked)]
    items |= {"overrides of all runs": " ".join(alike)} if alike else {}
    missing = sum(not run.provenance for run in runs)
    if missing:
        items["no provenance.json"] = f"{missing} of {len(runs)} runs"
    details = (
        f"<details><summary>settings shared by all runs</summary>{_dl(shared(runs))}</details>"
    )
    return _dl(items) + details


def _few(values: list[str]) -> str:
    """All of up to three values, else the ends of their order and how many there are."""
    if len(values) <= 3:
        return "; ".join(values)
    return f"{min(values)} … {max(values)} ({len(values)} values)"


def _reached(run: Run) -> str:
    step, total = run.final("step"), run.settings.get("trainer.max_steps")
    if step is None:
        return "before the first logged step"
    return f"at step {step:.0f}" + (f" of {total}" if total else "")


def chart_id(metric: Metric) -> str:
    return "chart-" + metric.name.replace("/", "-")


def _select(name: str, keys: Sequence[str]) -> str:
    options = "".join(f'<option value="{escape(key)}">{escape(key)}</option>' for key in keys)
    return f'<label class="choice">{name}<select id="{name}">{options}</select></label>'


def _figure(metric: Metric, width: str) -> str:
    title, identifier = escape(metric.title), escape(chart_id(metric))
    unit = metric.format.unit or metric.unit
    note = f"<small>{escape(unit)}</small>" if unit else ""
    if metric.smoothed:
        note += '<small class="smoothed">moving average</small>'
    buttons = "".join(
        f'<button type="button" data-chart="{identifier}" data-format="{kind}"'
        f' aria-label="Save {title} as {kind.upper()}">{kind.upper()}</button>'
        for kind in ("png", "svg")
    )
    return (
        f'<figure class="{width}"><figcaption><h3>{title}</h3>{note}'
        f'<span class="export">{buttons}</span></figcaption>'
        f'<div class="chart" id="{identifier}" role="img"'
        f' aria-label="{title} of every run"></div></figure>'
    )


def _by_topic(content: dict[str, object]) -> dict[str, str]:
    """Top-level keys that have a value; a nested object becomes `torch 2.13, numpy 2.4`."""
    topics = {}
    for key, value in content.items():
        if value is None:
            continue
        if isinstance(value, dict):
            parts = (f"{name} {setting(v)}" for name, v in flatten(value).items())
            topics[key] = ", ".join(parts)
        elif isinstance(value, list) and any(isinstance(v, dict) for v in value):
            topics[key] = json.dumps(value)
        else:
            topics[key] = setting(value)
    return topics


def _dl(items: dict[str, str]) -> str:
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in items.items())
    return f"<dl>{rows}</dl>"
