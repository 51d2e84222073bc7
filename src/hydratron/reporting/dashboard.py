"""One static page per sweep that holds its data, its code and its style, and asks no network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from hydratron.reporting import sections
from hydratron.reporting.curves import PANELS, Style, curves, styles
from hydratron.reporting.records import Run

PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def title_of(folders: Sequence[Path]) -> str:
    """The first folder's name, and how many more there are."""
    name = Path(folders[0]).resolve().name
    return name if len(folders) == 1 else f"{name} and {len(folders) - 1} more"


def page(runs: Sequence[Run], title: str) -> str:
    """The whole HTML page."""
    drawn, lines = styles(runs), curves(runs)
    logged = {line["metric"] for line in lines}
    shown = [panel for panel in PANELS if panel.metric in logged]
    data = {
        "runs": [_run(run, style) for run, style in zip(runs, drawn, strict=True)],
        "degrees": len({style.degree for style in drawn}),
        "panels": [
            {
                "id": sections.chart_id(panel),
                "metric": panel.metric,
                "ticks": panel.ticks,
                "hover": panel.hover,
                "log": panel.log,
                "main": index == 0,
            }
            for index, panel in enumerate(shown)
        ],
        "curves": lines,
    }
    plotly, script = _inline_script(get_plotlyjs()), _inline_script(_file("page.js"))
    parts = {
        "title": escape(title),
        "policy": _policy(plotly, script),
        "style": _file("page.css"),
        "facts": sections.facts(runs),
        "findings": sections.finding_list(runs),
        "failures": sections.failure_list(runs),
        "legend": sections.legend(drawn),
        "panels": sections.panels(shown),
        "table": sections.run_table(runs, drawn),
        "provenance": sections.provenance(runs),
        "data": embedded_json(data),
        "plotly": plotly,
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
        "variant": style.variant,
        "colour": style.colour,
        "degree": style.degree,
        "dash": style.pattern,
        "first_degree": style.dash == 0,
        "broken": run.status in sections.BROKEN,
    }


def _file(name: str) -> str:
    return files("hydratron.reporting").joinpath("page", name).read_text(encoding="utf-8")


def _inline_script(code: str) -> str:
    return code.replace("</script", "<\\/script")


def _policy(*scripts: str) -> str:
    """Nothing is fetched and only these scripts run, even if some text were taken for markup."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:"
    )
