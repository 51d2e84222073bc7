"""When a curve first reaches a target, between the rows: the tokens a run needed for a loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hydratron.reporting.metrics import RANKED
from hydratron.reporting.records import Run

# A loss is printed with four decimals, and two parallel degrees of a run differ in the seventh.
DECIMALS = 4


def first_crossing(
    position: Sequence[float] | np.ndarray, values: Sequence[float] | np.ndarray, target: float
) -> float | None:
    """The position at which the values first are at or below the target; None if they never are.

    Both `[n]`, in the order in which they were logged. Between the two rows around the crossing
    the curve is taken as straight. Pairs with a value that is not finite are left out; a curve
    that begins at or below the target reaches it at its first position.
    """
    x, y = np.asarray(position, dtype=float), np.asarray(values, dtype=float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    below = np.flatnonzero(y <= target)
    if not len(below):
        return None
    at = int(below[0])
    if at == 0:
        return float(x[0])
    share = (y[at - 1] - target) / (y[at - 1] - y[at])
    return float(x[at - 1] + share * (x[at] - x[at - 1]))


def tokens_to_loss(run: Run, target: float) -> float | None:
    """The tokens at which the run's validation loss first reaches the target, or None."""
    columns = run.columns
    if "tokens" not in columns or RANKED not in columns:
        return None
    return first_crossing(columns["tokens"], columns[RANKED], target)


def default_target(runs: Sequence[Run]) -> float | None:
    """The final validation loss of the smallest model's best completed run, rounded up.

    The smallest model is the one of the fewest block weights that has such a run; None where no
    run has completed with a finite validation loss.
    """
    ended = [
        (run.blocks, value)
        for run in runs
        if run.status == "completed"
        and (value := run.final(RANKED)) is not None
        and math.isfinite(value)
    ]
    if not ended:
        return None
    # Two more decimals first: a loss that is written with four is not moved by its last bit.
    _, best = min(ended)
    return math.ceil(round(best * 10**DECIMALS, 2)) / 10**DECIMALS
