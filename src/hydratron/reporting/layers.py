"""Per-layer norms over the steps, one heat map per run and norm: which layers break first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from hydratron.reporting.curves import rounded
from hydratron.reporting.records import Run

KEY = re.compile(r"layers/(\d+)/(\w+)")
TITLES = {
    "grad_norm": "gradient norm, before clipping",
    "activation_rms": "root mean square of the output",
    "update_ratio": "update relative to the weights",
}
STEPS = 100


def layer_maps(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """{run, metric, layers, step, values [layers][steps]} of every run that logged them.

    At most 100 steps, evenly chosen; a value that is not finite is None.
    """
    return [
        {"run": index, "metric": metric} | found
        for index, run in enumerate(runs)
        for metric in TITLES
        if (found := _layer_map(run, metric)) is not None
    ]


def _layer_map(run: Run, metric: str) -> dict[str, Any] | None:
    keys = {
        int(match[1]): key
        for key in run.columns
        if (match := KEY.fullmatch(key)) and match[2] == metric
    }
    if not keys:
        return None
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
    titles = "".join(f'<option value="{key}">{title}</option>' for key, title in TITLES.items())
    return (
        '<section id="layers"><h2>Layers</h2><div class="switches">'
        f'<label class="choice">run<select id="layer-run">{names}</select></label>'
        f'<label class="choice">norm<select id="layer-metric">{titles}</select></label></div>'
        '<figure class="main"><div class="chart" id="layer-map" role="img"'
        ' aria-label="Norms of each layer over the steps"></div></figure></section>'
    )
