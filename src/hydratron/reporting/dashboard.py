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
from hydratron.reporting.colours import DASHES, legends
from hydratron.reporting.curves import curves, logged
from hydratron.reporting.estimate import student
from hydratron.reporting.formats import setting
from hydratron.reporting.layers import layer_maps, layer_section
from hydratron.reporting.metrics import RANKED
from hydratron.reporting.palette import css
from hydratron.reporting.records import BROKEN, Run
from hydratron.reporting.run_tables import mean_section, run_section
from hydratron.reporting.seeds import Seeds, seed_groups

PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
PARTS = ("plotly", "state", "legend", "charts", "layers", "tables", "export", "page")
SCRIPTS = tuple(f"{part}.js" for part in PARTS)


def title_of(folders: Sequence[Path], runs: Sequence[Run]) -> str:
    """The first folder's name, and how many more there are; of a single job what was trained."""
    path = Path(folders[0]).resolve()
    if len(folders) > 1:
        return f"{path.name} and {len(folders) - 1} more"
    if [run.folder.resolve() for run in runs] != [path]:
        return path.name
    (run,) = runs
    told = {"optim.lr": "lr {}", "trainer.max_steps": "{} steps", "seed": "seed {}"}
    known = {text: run.settings.get(key) for key, text in told.items()}
    texts = [text.format(setting(value)) for text, value in known.items() if value is not None]
    degree = [] if run.parallel == "single" else [run.parallel]
    placement = run.settings.get("model.layernorm.placement")
    variant = [f"{placement}-LN"] if placement else []
    return ", ".join([run.model, *degree, *variant, *texts])


def page(runs: Sequence[Run], title: str, reload_seconds: float | None = None) -> str:
    """The whole HTML page; with `reload_seconds` it says that it is live and loads itself anew."""
    drawn, groups = legends(runs), seed_groups(runs)
    lines, maps = curves(runs, groups), layer_maps(runs)
    finite = {line["metric"] for line in lines}
    shown = [metric for metric in logged(runs) if metric.name in finite]
    index = {run.folder: i for i, run in enumerate(runs)}
    data = {
        "title": title,
        "reload": reload_seconds,
        "runs": [_run(run) for run in runs],
        "groups": [
            {
                "name": group.label,
                "runs": [index[run.folder] for run in group.usable],
            }
            for group in groups
        ],
        "legends": [asdict(legend) for legend in drawn.offered],
        "colour": drawn.colour,
        "dash": drawn.dash,
        "dashes": DASHES,
        "ranked": RANKED,
        "student": _quantiles(groups),
        "panels": [
            {
                "id": sections.chart_id(metric),
                "metric": metric.name,
                "title": metric.title,
                "unit": metric.format.unit or metric.unit,
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
        "style": f":root {{\n{css()}\n}}\n{_file('page.css')}",
        "facts": sections.facts(runs) + sections.live_note(reload_seconds),
        "findings": sections.finding_list(runs),
        "failures": sections.failure_list(runs),
        "legends": sections.legend_choices(drawn),
        "seeds": sections.SEED_SWITCH if groups else "",
        "mean_note": sections.MEAN_NOTE if groups else "",
        "panels": sections.panels(shown),
        "layers": layer_section(runs, maps),
        "means": mean_section(runs, groups, drawn),
        "table": run_section(runs, drawn),
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


def _run(run: Run) -> dict[str, Any]:
    return {"name": run.name, "status": run.status, "broken": run.status in BROKEN}


def _quantiles(groups: Sequence[Seeds]) -> list[float | None]:
    """Student's t by the number of seeds, as far as the groups have them."""
    most = max((len(group.runs) for group in groups), default=0)
    return [student(n) if n > 1 else None for n in range(most + 1)]


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
