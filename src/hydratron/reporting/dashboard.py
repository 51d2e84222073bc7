"""One static page per sweep that holds its data, its code and its style, and asks no network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from hydratron.reporting import sections
from hydratron.reporting.colours import Style, colourings, styles
from hydratron.reporting.curves import curves, logged
from hydratron.reporting.layers import layer_maps, layer_section
from hydratron.reporting.records import BROKEN, Run
from hydratron.reporting.seed_table import seed_table
from hydratron.reporting.seeds import seed_groups

PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
SCRIPTS = ("plotly.js", "state.js", "legend.js", "charts.js", "layers.js", "export.js", "page.js")


def title_of(folders: Sequence[Path]) -> str:
    """The first folder's name, and how many more there are."""
    name = Path(folders[0]).resolve().name
    return name if len(folders) == 1 else f"{name} and {len(folders) - 1} more"


def page(runs: Sequence[Run], title: str, reload_seconds: float | None = None) -> str:
    """The whole HTML page; with `reload_seconds` it says that it is live and loads itself anew."""
    drawn, offered, groups = styles(runs), colourings(runs), seed_groups(runs)
    lines, maps = curves(runs, groups), layer_maps(runs)
    finite = {line["metric"] for line in lines}
    shown = [metric for metric in logged(runs) if metric.name in finite]
    index = {run.folder: i for i, run in enumerate(runs)}
    data = {
        "title": title,
        "reload": reload_seconds,
        "runs": [_run(run, style) for run, style in zip(runs, drawn, strict=True)],
        "groups": [
            {
                "name": group.label,
                "runs": [index[run.folder] for run in group.usable],
            }
            for group in groups
        ],
        "degrees": len({style.degree for style in drawn}),
        "colourings": [asdict(colouring) for colouring in offered],
        "panels": [
            {
                "id": sections.chart_id(metric),
                "metric": metric.name,
                "title": metric.title,
                "unit": metric.unit,
                "ticks": metric.format.ticks,
                "hover": metric.format.hover,
                "log": metric.log,
                "main": place == 0,
            }
            for place, metric in enumerate(shown)
        ],
        "curves": lines,
        "layers": maps,
    }
    code = "\n".join(_file(name) for name in SCRIPTS)
    script = _inline_script(f'"use strict";\n(() => {{\n{code}\n}})();')
    parts = {
        "title": escape(title),
        "policy": _policy(script),
        "style": _file("page.css"),
        "facts": sections.facts(runs) + sections.live_note(reload_seconds),
        "findings": sections.finding_list(runs),
        "failures": sections.failure_list(runs),
        "colours": sections.colour_choice(offered),
        "seeds": sections.SEED_SWITCH if groups else "",
        "panels": sections.panels(shown),
        "layers": layer_section(runs, maps),
        "means": seed_table(runs, groups),
        "table": sections.run_table(runs, drawn, offered[0]),
        "provenance": sections.provenance(runs),
        "data": embedded_json(data),
        "plotly": _packed_plotly(),
        "script": script,
    }
    # One pass: a part that happens to hold a placeholder is left as it is.
    return PLACEHOLDER.sub(lambda match: parts[match[1]], _file("page.html"))


def embedded_json(content: Any) -> str:
    """JSON that cannot end the script element around it, whatever its strings hold."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _run(run: Run, style: Style) -> dict[str, Any]:
    return {
        "name": run.name,
        "degree": style.degree,
        "dash": style.pattern,
        "first_degree": style.dash == 0,
        "status": run.status,
        "broken": run.status in BROKEN,
    }


def _file(name: str) -> str:
    return files("hydratron.reporting").joinpath("page", name).read_text(encoding="utf-8")


def _inline_script(code: str) -> str:
    return code.replace("</script", "<\\/script")


@cache
def _packed_plotly() -> str:
    """Plotly's code, gzip in base64, the same bytes every time."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 6, mtime=0)).decode()


def _policy(script: str) -> str:
    """Nothing is fetched; only this script and what it makes run, whatever text looks like."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' blob:; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:"
    )
