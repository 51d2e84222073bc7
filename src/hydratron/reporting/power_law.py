"""L = a N^-b, or a N^-b + c where the runs tell the two apart, through one loss per run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from hydratron.reporting.estimate import CONFIDENCE, Estimate

METHOD = "least squares through all runs, which n counts; Student t 95 % interval"
# Three unknowns leave something to test from the fourth size on.
SIZES_FOR_FLOOR = 4
SIGNIFICANT = 1 - CONFIDENCE


@dataclass(frozen=True)
class PowerLaw:
    """`scale` * x ** -`exponent` + `floor`; `floor` is 0 unless the runs ask for one.

    `spread` is the exponent's estimate; `residual` the largest |fit - mean loss of a size|.
    Two F tests, not a number where they cannot be made: `floor_p`, how often noise alone would make
    a floor look as useful (extra sum of squares); `lack_p`, how often it would make the sizes'
    means depart as far from the law (lack of fit against the spread of runs of one size).
    """

    scale: float
    exponent: float
    floor: float
    spread: Estimate
    residual: float
    floor_p: float
    lack_p: float

    def __call__(self, x: float) -> float:
        return float(self.scale * x**-self.exponent + self.floor)

    @property
    def fits(self) -> bool:
        """Whether the sizes depart from it by no more than runs of one size do from another."""
        return not self.lack_p < SIGNIFICANT


def power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    """Fit losses y[i] of runs of size x[i] > 0.  Raises ValueError below two sizes.

    The floor is kept when there are four sizes, it is above 0 and `floor_p` is below 0.05.
    """
    sizes, losses = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    kinds = len(set(x))
    if kinds < 2:
        raise ValueError("a power law needs two sizes")
    centre = float(np.exp(np.mean(np.log(np.unique(sizes)))))
    at = sizes / centre
    plain, floored = _without_floor(at, losses), None
    floor_p = math.nan
    if kinds >= SIZES_FOR_FLOOR and (floored := _with_floor(at, losses)) is not None:
        left = _squares(floored, at, losses)
        gained, freedom = _squares(plain, at, losses) - left, len(at) - 3
        floor_p = float(stats.f.sf(gained * freedom / left, 1, freedom)) if freedom else math.nan
    kept = floored if floored is not None and floor_p < SIGNIFICANT and floored.floor > 0 else plain
    means = [(size, float(losses[at == size].mean())) for size in np.unique(at)]
    return PowerLaw(
        kept.scale * centre**kept.exponent,
        kept.exponent,
        kept.floor,
        Estimate(kept.exponent, kept.half, len(at), METHOD),
        max(abs(float(kept(size)) - mean) for size, mean in means),
        floor_p,
        _lack_of_fit(kept, at, losses),
    )


@dataclass(frozen=True)
class _Fit:
    """`half`: half of the exponent's interval, None where nothing is left to tell it from."""

    scale: float
    exponent: float
    floor: float
    half: float | None

    def __call__(self, x: np.ndarray | float) -> np.ndarray | float:
        return self.scale * x**-self.exponent + self.floor


def _without_floor(x: np.ndarray, y: np.ndarray) -> _Fit:
    line = stats.linregress(np.log(x), np.log(y))
    half = _student(len(x) - 2) * float(line.stderr) if len(x) > 2 else None
    return _Fit(float(np.exp(line.intercept)), -float(line.slope), 0.0, half)


def _with_floor(x: np.ndarray, y: np.ndarray) -> _Fit | None:
    """None where the runs do not determine the three numbers."""
    first = _without_floor(x, y)
    start = (first.scale / 2, max(2 * first.exponent, 0.01), float(y.min()) / 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", optimize.OptimizeWarning)
        try:
            found, covariance = optimize.curve_fit(
                lambda at, a, b, c: a * at**-b + c,
                x,
                y,
                p0=start,
                bounds=(0, np.inf),
                max_nfev=10_000,
            )
        except (RuntimeError, optimize.OptimizeWarning):
            return None
    half = _student(len(x) - 3) * math.sqrt(covariance[1, 1]) if len(x) > 3 else None
    scale, exponent, floor = map(float, found)
    return _Fit(scale, exponent, floor, half)


def _student(freedom: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))


def _squares(fit: _Fit, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.square(y - fit(x)).sum())


def _lack_of_fit(fit: _Fit, x: np.ndarray, y: np.ndarray) -> float:
    groups = [y[x == size] for size in np.unique(x)]
    pure = math.fsum(float(np.square(group - group.mean()).sum()) for group in groups)
    unknowns = 3 if fit.floor else 2
    left, within = len(groups) - unknowns, len(y) - len(groups)
    if left < 1 or within < 1 or pure == 0:
        return math.nan
    lack = _squares(fit, x, y) - pure
    return float(stats.f.sf(lack / left / (pure / within), left, within))
