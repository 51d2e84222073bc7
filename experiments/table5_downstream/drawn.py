"""The figure of Table 5: scores by size, and what the same fine-tuning does step by step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from hydratron.reporting.estimate import estimate
from hydratron.reproduce.figure import Figure, Line, Panel

if TYPE_CHECKING:
    from .analyze import Encoder

PLACE, ACCURACY = "model.layernorm.placement", "val/accuracy"
# (pretrained, placement) -> its place in the palette and its name.
KINDS = {
    (True, "pre"): (0, "pre-LN"),
    (True, "post"): (1, "post-LN"),
    (False, "pre"): (0, "pre, random"),
    (False, "post"): (1, "post, random"),
}


def figure(
    tuned: pd.DataFrame, ours: Mapping[Encoder, dict[int, float]], majority: float
) -> Figure:
    rules = [(100 * majority, "largest class")] if math.isfinite(majority) else []
    both = [model for model in _models(ours) if _has_both(ours, model)]
    panels = [
        Panel(
            "SST-2 after fine-tuning", "block weights", "accuracy, %", list(_by_size(ours)),
            x_log=True, rules=rules,
        )
    ]  # fmt: skip
    for model in both[:1]:
        lines = list(_by_step(tuned, model))
        panels.append(Panel(f"{model}, step by step", "step", "accuracy, %", lines, rules=rules))
    return Figure("SST-2 by pretrained encoders, and by the same with random weights", panels)


def _models(ours: Mapping[Encoder, Any]) -> list[str]:
    return list(dict.fromkeys(e.model for e in ours))


def _has_both(ours: Mapping[Encoder, Any], model: str) -> bool:
    return len({e.place for e in ours if e.model == model}) > 1


def _by_size(ours: Mapping[Encoder, dict[int, float]]) -> Iterator[Line]:
    for (pretrained, place), (colour, label) in KINDS.items():
        points = [
            (e.blocks, estimate([100 * v for v in found.values() if math.isfinite(v)]))
            for e, found in ours.items()
            if (e.pretrained, e.place) == (pretrained, place)
        ]
        if points:
            x = [blocks for blocks, _ in points]
            y = [one.value for _, one in points]
            halves = [one.half or 0.0 for _, one in points]
            low = [v - h for v, h in zip(y, halves, strict=True)]
            high = [v + h for v, h in zip(y, halves, strict=True)]
            dashed = not pretrained
            if len(x) > 1:
                yield Line(label, x, y, colour, dashed, band=(low, high))
                continue
            # One size is a point and its interval.
            yield Line("", [x[0], x[0]], [low[0], high[0]], colour, dashed)
            yield Line(label, x, y, colour, marks=True)


def _by_step(tuned: pd.DataFrame, model: str) -> Iterator[Line]:
    logged = tuned[(tuned["model"] == model) & (tuned["task"] == "sst2")].dropna(subset=[ACCURACY])
    starts = logged["init_from"].map(lambda start: isinstance(start, str) and bool(start))
    for (pretrained, place), (colour, label) in KINDS.items():
        own = logged[(starts == pretrained) & (logged[PLACE] == place)]
        steps = sorted(own["step"].unique())
        if steps:
            means = [estimate(list(100 * own.loc[own["step"] == s, ACCURACY])) for s in steps]
            y = [one.value for one in means]
            halves = [one.half or 0.0 for one in means]
            band = (
                [v - h for v, h in zip(y, halves, strict=True)],
                [v + h for v, h in zip(y, halves, strict=True)],
            )
            yield Line(label, [int(s) for s in steps], y, colour, not pretrained, band=band)
