"""What a mean over seeds is worth: Student's t interval, for tables and for verdicts alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
    from scipy.special import stdtrit

    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    quantile = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    return Estimate(mean, quantile * deviation / math.sqrt(n), n)
