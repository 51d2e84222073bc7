"""What a mean over seeds is worth: Student's t interval, for tables and for verdicts alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

CONFIDENCE = 0.95
STUDENT = "Student t 95 % interval over seeds"


@dataclass(frozen=True)
class Estimate:
    """A value over `n` seeds; `half` is half the width of its 95 % interval, None without one."""

    value: float
    half: float | None
    n: int
    method: str = STUDENT

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.half is None else (self.value - self.half, self.value + self.half)


def estimate(values: Sequence[float]) -> Estimate:
    """Mean of one value per seed and its two-sided interval over `n - 1` degrees of freedom.

    No interval below two values; not a number for none, or where one is not finite.
    """
    n = len(values)
    if n == 0 or not all(map(math.isfinite, values)):
        return Estimate(math.nan, None, n)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, n)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    return Estimate(mean, student(n) * deviation / math.sqrt(n), n)


def intervals(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over the first axis, [seeds, points], and half of the interval of each, 0 for one."""
    n = len(values)
    mean = values.mean(axis=0)
    if n == 1:
        return mean, np.zeros_like(mean)
    return mean, student(n) * values.std(axis=0, ddof=1) / math.sqrt(n)


@cache
def student(n: int) -> float:
    """How many standard errors half of the interval over `n` >= 2 values has."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
