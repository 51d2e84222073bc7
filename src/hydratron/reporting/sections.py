"""The parts of the page as HTML; every text from a run passes through `html.escape`."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from html import escape

from hydratron.job import flatten
from hydratron.reporting.curves import SMOOTHED, Panel, Style
from hydratron.reporting.differences import shared, short_columns
from hydratron.reporting.findings import findings
from hydratron.reporting.formats import setting
from hydratron.reporting.records import Run
from hydratron.reporting.tables import by_validation_loss
from hydratron.reporting.terminal import OUTCOMES

MARKS = {True: ("good", "✓"), False: ("bad", "✗"), None: ("", "·")}
BROKEN = ("failed", "diverged")


def facts(runs: Sequence[Run]) -> str:
    """How many runs there are and how they ended."""
    states = Counter(run.status for run in runs)
    total = f"{len(runs)} run{'s' if len(runs) != 1 else ''}"
    return escape(": ".join([total, ", ".join(f"{n} {state}" for state, n in states.items())]))


def finding_list(runs: Sequence[Run]) -> str:
    items = []
    for finding in findings(runs):
        kind, mark = MARKS[finding.holds]
        text = escape(finding.sentence())
        items.append(f'<li><span class="mark {kind}">{mark}</span><span>{text}</span></li>')
    return f'<ul class="findings">{"".join(items)}</ul>' if items else ""


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


def legend(drawn: Sequence[Style]) -> str:
    """The colours and, where there are several, the dashes; each a button that hides its lines."""
    models = {style.order: style for style in drawn}
    degrees = {style.dash: style for style in drawn}
    keys = [
        _key(f"c:{style.variant}", style.variant, f"c{style.colour} key", "solid")
        for _, style in sorted(models.items())
    ]
    groups = [f'<div class="keys">{"".join(keys)}</div>']
    if len(degrees) > 1:
        keys = [
            _key(f"d:{style.degree}", style.degree, "" if dash else "band", style.pattern)
            for dash, style in sorted(degrees.items())
        ]
        groups.append(f'<div class="keys">{"".join(keys)}</div>')
    return f'<div class="legend">{"".join(groups)}</div>'


def panels(shown: Sequence[Panel]) -> str:
    """The main chart, then small ones in two rows: how it learned, how fast it ran."""
    training = [p for p in shown if not p.metric.startswith("perf/")]
    performance = [p for p in shown if p.metric.startswith("perf/")]
    if not shown:
        return '<p class="none">No run has logged any metrics.</p>'
    html = f'<div class="grid">{_figure(training[0], "main")}</div>' if training else ""
    for title, row in (("Training", training[1:]), ("Performance", performance)):
        if row:
            width = {1: "half", 2: "half", 3: "third"}.get(len(row), "")
            figures = "".join(_figure(panel, width) for panel in row)
            html += f'<h2>{title}</h2><div class="grid">{figures}</div>'
    return html


def run_table(runs: Sequence[Run], drawn: Sequence[Style]) -> str:
    """One row per run, the lowest validation loss first and in bold."""
    style_of = {run.folder: style for run, style in zip(runs, drawn, strict=True)}
    ordered = by_validation_loss(runs)
    columns = short_columns(ordered)
    head = "".join(f"<th>{escape(title)}</th>" for title in ("run", *columns))
    head += "".join(f'<th class="number">{escape(title)}</th>' for title, _ in OUTCOMES)
    body = ""
    degrees = len({style.degree for style in drawn})
    for index, run in enumerate(ordered):
        style = style_of[run.folder]
        band = " band" if style.dash == 0 and degrees > 1 else ""
        line = _swatch(f"c{style.colour}{band}", style.pattern)
        body += f"<tr><td>{line}{escape(run.name)}</td>"
        for values in columns.values():
            body += f"<td>{escape(values[index])}</td>"
        found = run.final("val/loss")
        leads = index == 0 and found is not None and math.isfinite(found)
        for title, show in OUTCOMES:
            best = " best" if leads and title == "val\nloss" else ""
            body += f'<td class="number{best}">{escape(show(run))}</td>'
        broken = ' class="bad"' if run.status in BROKEN else ""
        body += f"<td{broken}>{escape(run.status)}</td></tr>"
    table = f"<table><thead><tr>{head}<th>status</th></tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{table}</div>'


def provenance(runs: Sequence[Run]) -> str:
    """Where the numbers come from: what every run says of itself, each distinct value once."""
    recorded = [_by_topic(run.provenance) for run in runs]
    items: dict[str, str] = {"runs": str(len(runs))}
    for key in dict.fromkeys(key for topics in recorded for key in topics):
        items[key] = _few(list(dict.fromkeys(t[key] for t in recorded if key in t)))
    items["seed"] = ", ".join(dict.fromkeys(setting(run.seed) for run in runs))
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


def _key(name: str, label: str, classes: str, pattern: str) -> str:
    return (
        f'<button type="button" aria-pressed="true" data-key="{escape(name)}">'
        f"{_swatch(classes, pattern)}{escape(label)}</button>"
    )


def _swatch(classes: str, pattern: str) -> str:
    dashes = "" if pattern == "solid" else f' stroke-dasharray="{pattern}"'
    return (
        f'<svg class="swatch {classes}" viewBox="0 0 30 10" aria-hidden="true">'
        f'<line x1="0" y1="5" x2="30" y2="5"{dashes}/></svg>'
    )


def chart_id(panel: Panel) -> str:
    return "chart-" + panel.metric.replace("/", "-")


def _figure(panel: Panel, width: str) -> str:
    note = f"<small>{escape(panel.unit)}</small>" if panel.unit else ""
    if panel.metric == SMOOTHED:
        note += '<small class="smoothed">moving average</small>'
    return (
        f'<figure class="{width}"><figcaption><h3>{escape(panel.title)}</h3>{note}</figcaption>'
        f'<div class="chart" id="{chart_id(panel)}" role="img"'
        f' aria-label="{escape(panel.title)} of every run"></div></figure>'
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
