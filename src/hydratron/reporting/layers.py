"""Per-layer norms over the steps, one heat map per run and norm: which layers break first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from hydratron.reporting.curves import rounded
from hydratron.reporting.metrics import EACH_LAYER, LAYER, LAYERS, METRICS, metrics
from hydratron.reporting.records import Run

STEPS = 100


def layer_maps(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """{run, metric, layers, step, values [layers][steps]} of every run that logged them.

    At most 100 steps, evenly chosen; a value that is not finite is None.
    """
    return [
        {"run": index, "metric": norm} | found
        for index, run in enumerate(runs)
        for norm in _titles(run.columns)
        if (found := _layer_map(run, norm)) is not None
    ]


def _titles(names: Iterable[str]) -> dict[str, str]:
    """What is logged of each layer, by its name behind the number of the layer."""
    found = (metric for metric in metrics(names) if metric.panel == LAYERS)
    return {metric.name.removeprefix(EACH_LAYER): metric.title for metric in found}


def _layer_map(run: Run, norm: str) -> dict[str, Any] | None:
    keys = {
        int(match[1]): key
        for key in run.columns
        if (match := LAYER.match(key)) and key[match.end() :] == norm
    }
    layers = sorted(keys)
    values = np.stack([run.columns[keys[layer]] for layer in layers])  # [layers, rows]
    (logged,) = np.nonzero(~np.isnan(values).all(axis=0))
    if not len(logged):
        return None
    kept = logged[np.unique(np.linspace(0, len(logged) - 1, STEPS).astype(int))]
    return {
        "layers": layers,
        "step": rounded(run.columns["step"][kept]),
        "values": [rounded(row) for row in values[:, kept]],
    }


def layer_section(runs: Sequence[Run], maps: Sequence[dict[str, Any]]) -> str:
    """The choice of a run and a norm, and the place of the map; empty without any."""
    if not maps:
        return ""
    with_maps = dict.fromkeys(found["run"] for found in maps)
    names = "".join(f'<option value="{i}">{escape(runs[i].name)}</option>' for i in with_maps)
    offered = _titles([*(row.name for row in METRICS), *(k for run in runs for k in run.columns)])
    titles = "".join(
        f'<option value="{escape(norm)}">{escape(title)}</option>'
        for norm, title in offered.items()
    )
    return (
        '<section id="layers"><h2>Layers</h2><div class="switches">'
        f'<label class="choice">run<select id="layer-run">{names}</select></label>'
        f'<label class="choice">norm<select id="layer-metric">{titles}</select></label></div>'
        '<figure class="main"><div class="chart" id="layer-map" role="img"'
        ' aria-label="Norms of each layer over the steps"></div></figure></section>'
    )
