"""The figure of Table 5: accuracy and loss by size, pretrained and from random weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hydratron.reporting.estimate import estimate
from hydratron.reproduce.figure import Figure, Line, Panel

if TYPE_CHECKING:
    from .analyze import Encoder

# (pretrained, placement) -> its place in the palette and its name.
KINDS = {
    (True, "pre"): (0, "pre-LN"),
    (True, "post"): (1, "post-LN"),
    (False, "pre"): (0, "pre, random"),
    (False, "post"): (3, "post, random"),
}
Scores = Mapping["Encoder", Mapping[int, float]]


def figure(accuracy: Scores, loss: Scores, majority: float) -> Figure:
    """Of the encoders on SST-2; `majority` is the share of the largest class."""
    rules = [(100 * majority, "largest class")] if math.isfinite(majority) else []
    x = "block weights"
    return Figure(
        "SST-2 by pretrained encoders, and by the same with random weights",
        [
            Panel("Accuracy", x, "%", list(_by_size(accuracy, 100)), x_log=True, rules=rules),
            Panel("Loss", x, "nats a sentence", list(_by_size(loss, 1)), x_log=True),
        ],
    )


def _by_size(scores: Scores, scale: float) -> Iterator[Line]:
    for (pretrained, place), (colour, label) in KINDS.items():
        points = [
            (e.blocks, estimate([scale * v for v in found.values() if math.isfinite(v)]))
            for e, found in scores.items()
            if (e.pretrained, e.place) == (pretrained, place)
        ]
        if not points:
            continue
        x, y = [blocks for blocks, _ in points], [one.value for _, one in points]
        halves = [one.half or 0.0 for _, one in points]
        low = [v - h for v, h in zip(y, halves, strict=True)]
        high = [v + h for v, h in zip(y, halves, strict=True)]
        if len(x) > 1:
            yield Line(label, x, y, colour, not pretrained, band=(low, high))
            continue
        # One size is a point and its interval.
        yield Line("", [x[0], x[0]], [low[0], high[0]], colour, not pretrained)
        yield Line(label, x, y, colour, marks=True)
