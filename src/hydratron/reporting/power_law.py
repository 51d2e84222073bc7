"""L = a N^-b, or a N^-b + c where the data identify c, fitted to one loss per size and seed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats

from hydratron.reporting.estimate import CONFIDENCE, Estimate, estimate

METHOD = "one fit per seed, Student t 95 % interval over the seeds' exponents"
# Three unknowns need a fourth size before their errors can be told.
SIZES_FOR_FLOOR = 4


@dataclass(frozen=True)
class PowerLaw:
    """`scale` * x ** -`exponent` + `floor`, through the mean losses; `floor` is 0 unless fitted.

    `spread` is the exponent over the seeds: it says what another seed would change, not how well
    a power law describes the sizes; `residual` does, the largest |fit - mean loss|.
    """

    scale: float
    exponent: float
    floor: float
    spread: Estimate
    residual: float

    def __call__(self, x: float) -> float:
        return float(self.scale * x**-self.exponent + self.floor)


def power_law(x: Sequence[float], losses: Mapping[int, Sequence[float]]) -> PowerLaw:
    """Fit losses[seed][i] at x[i] > 0.  Raises ValueError below two sizes or without a seed.

    The floor is kept when there are four sizes and its 95 % interval lies above 0.
    """
    sizes = np.asarray(x, dtype=float)
    if len(set(x)) < 2 or not losses:
        raise ValueError("a power law needs two sizes and a seed")
    mean = np.mean([np.asarray(row, dtype=float) for row in losses.values()], axis=0)
    centre = float(np.exp(np.mean(np.log(sizes))))
    with_floor = _floor_is_identified(sizes / centre, mean)
    fit = _with_floor if with_floor else _without_floor
    scale, exponent, floor = fit(sizes / centre, mean)
    found = estimate([fit(sizes / centre, np.asarray(losses[s], float))[1] for s in sorted(losses)])
    fitted = scale * (sizes / centre) ** -exponent + floor
    return PowerLaw(
        scale * centre**exponent,
        exponent,
        floor,
        replace(found, method=METHOD),
        float(np.abs(fitted - mean).max()),
    )


def _without_floor(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    line = stats.linregress(np.log(x), np.log(y))
    return float(np.exp(line.intercept)), -float(line.slope), 0.0


def _with_floor(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    (scale, exponent, floor), _ = _curve_fit(x, y)
    return float(scale), float(exponent), float(floor)


def _curve_fit(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares; RuntimeError or OptimizeWarning when the three numbers are not determined."""
    scale, exponent, _ = _without_floor(x, y)
    start = (scale / 2, max(2 * exponent, 0.01), float(y.min()) / 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", optimize.OptimizeWarning)
        found, covariance = optimize.curve_fit(
            lambda at, a, b, c: a * at**-b + c, x, y, p0=start, bounds=(0, np.inf), max_nfev=10_000
        )
    return found, covariance


def _floor_is_identified(x: np.ndarray, y: np.ndarray) -> bool:
    if len(x) < SIZES_FOR_FLOOR:
        return False
    try:
        found, covariance = _curve_fit(x, y)
    except (RuntimeError, optimize.OptimizeWarning):
        return False
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(x) - 3) * np.sqrt(covariance[2, 2])
    return bool(np.isfinite(half) and found[2] - half > 0)
