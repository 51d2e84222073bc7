"""How far a count of random events may be from its expectation."""

from __future__ import annotations

from math import sqrt


def check_share(count: int, n: int, share: float, tolerance: float = 0.0) -> None:
    """Within 4 standard deviations of the binomial; `tolerance` is for a share known so well only.

    With a fixed seed this fails by a change of the rule and not by chance.
    """
    allowed = 4 * sqrt(n * share * (1 - share)) + tolerance * n
    assert abs(count - n * share) <= allowed, f"{count} of {n}, expected {n * share:.1f}"
