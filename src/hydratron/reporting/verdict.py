"""Verdicts on a paper's claims: differences paired by seed, judged by Student t intervals.

One rule for every claim of a difference: it is REPRODUCED only where the interval over seeds lies
above 0, or above the limit.  In how many seeds it holds stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from hydratron.reporting.estimate import STUDENT, Estimate, estimate

SEEDS = 3
"""Fewer seeds than this are too few for a verdict."""
DIRECTION, PREDICTION = "direction", "prediction"


class Status(StrEnum):
    REPRODUCED = "REPRODUCED"
    NOT_REPRODUCED = "NOT REPRODUCED"
    PREDICTED = "PREDICTED"
    NOT_PREDICTED = "NOT PREDICTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RUN = "NOT RUN"
    SMOKE = "SMOKE: nothing judged"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and the criterion that was fixed before the runs.

    `name` is its short key; `unit` is that of the effect.
    """

    name: str
    claim: str
    criterion: str
    unit: str = ""

    @classmethod
    def of(cls, criteria: Mapping[str, Any], name: str) -> Claim:
        """The claim in a criteria.yaml; KeyError without it or without a part of it."""
        content = criteria["claims"][name]
        return cls(name, content["claim"], content["criterion"], content.get("unit", ""))


@dataclass(frozen=True)
class Verdict:
    """What is said about one claim.

    `effect` and `interval` are in the claim's unit; `n` counts seeds unless `method` says
    otherwise.  `ours`: the value beside which the paper prints its own, where it prints one.
    """

    claim: Claim
    aspect: str
    status: Status
    effect: float | None = None
    interval: tuple[float, float] | None = None
    n: int = 0
    method: str = ""
    details: tuple[str, ...] = ()
    ours: str = ""

    def unjudged(self, reason: str) -> Verdict:
        """The same numbers without a judgement."""
        return replace(self, status=Status.SMOKE, details=(reason, *self.details))

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, the claim's parts first; a number that is not finite is null."""
        ends = None if self.interval is None else [finite(end) for end in self.interval]
        return {
            **asdict(self.claim),
            "aspect": self.aspect,
            "status": str(self.status),
            "effect": finite(self.effect),
            "interval": ends,
            "n": self.n,
            "method": self.method,
            "details": list(self.details),
            "ours": self.ours,
        }


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """first - second for every seed that both have; the seeds ascend."""
    return {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}


def direction(claim: Claim, found: Estimate, details: Sequence[str] = ()) -> Verdict:
    """Whether an effect that the claim says is positive is: its interval lies above 0.

    NOT REPRODUCED when it lies below 0, INCONCLUSIVE when it holds 0 or seeds are too few.
    """
    status, note = _side(found)
    return _verdict(claim, DIRECTION, status, found, [*details, *[note] * bool(note)])


def over_seeds(claim: Claim, gaps: Mapping[int, float], details: Sequence[str] = ()) -> Verdict:
    """Whether the gap is above 0 over the seeds, as `direction` judges, and in how many of them.

    A gap of -inf, as of a diverged run, counts against the claim; the effect is then unknown.
    """
    above = sum(gap > 0 for gap in gaps.values())
    notes = [*details, f"in {above} of {len(gaps)} seeds"]
    found = estimate(list(gaps.values()))
    if found.n >= SEEDS and -math.inf in gaps.values():
        return _verdict(claim, DIRECTION, Status.NOT_REPRODUCED, found, notes)
    return direction(claim, found, notes)


def weakest(claim: Claim, parts: Mapping[str, Mapping[int, float]]) -> Verdict:
    """A claim of several parts, each a gap by seed, is judged by the part that is least sure.

    That is the one whose interval begins lowest; each is a line of the details.
    """
    judged = {name: over_seeds(claim, gaps) for name, gaps in parts.items()}
    details = [
        f"{name}: {_value(v.effect, v.interval)}, {'; '.join(v.details)}"
        for name, v in judged.items()
    ]
    least = min(judged, key=lambda name: _begin(judged[name]), default=None)
    if least is None:
        return over_seeds(claim, {}, details)
    method = f"{STUDENT}, of {least}" if len(judged) > 1 else STUDENT
    return replace(judged[least], details=tuple(details), method=method)


def _begin(verdict: Verdict) -> float:
    if verdict.n < SEEDS:
        return -math.inf
    return -math.inf if verdict.interval is None else verdict.interval[0]


def _value(effect: float | None, interval: tuple[float, float] | None) -> str:
    text = "–" if effect is None else f"{effect:+.3g}"
    return text if interval is None else text + " [{:+.3g}, {:+.3g}]".format(*interval)


def below_bound(
    claim: Claim, values: Sequence[float], bound: float, details: Sequence[str] = ()
) -> Verdict:
    """Whether every value of a measurement that has no noise over seeds is at most `bound`.

    The effect is the largest value; one that is not a number is above every bound.
    """
    largest = max((math.inf if math.isnan(v) else v for v in values), default=math.nan)
    status = Status.REPRODUCED if largest <= bound else Status.NOT_REPRODUCED
    if not values:
        status = Status.INCONCLUSIVE
    method = "largest of all compared values, which n counts"
    return _verdict(claim, DIRECTION, status, Estimate(largest, None, len(values), method), details)


def predicted(
    claim: Claim, errors: Sequence[float], bound: float, details: Sequence[str] = ()
) -> Verdict:
    """Whether a model of the published numbers is at most `bound` off each, relative.

    `errors` are predicted / published - 1; the effect is the largest without its sign.  Nothing was
    run, so nothing was reproduced; INCONCLUSIVE without any.
    """
    found = below_bound(claim, [abs(error) for error in errors], bound, details)
    statuses = {
        Status.REPRODUCED: Status.PREDICTED,
        Status.NOT_REPRODUCED: Status.NOT_PREDICTED,
    }
    return replace(
        found,
        aspect=PREDICTION,
        status=statuses.get(found.status, found.status),
        method="largest relative error of a prediction, of which n counts all",
    )


def _side(found: Estimate) -> tuple[Status, str]:
    """On which side of 0 an estimate lies, and why where it cannot be told."""
    if found.n < SEEDS:
        return Status.INCONCLUSIVE, _too_few(found.n)
    if found.interval is None:
        return Status.INCONCLUSIVE, "no interval: a value is not finite"
    low, high = found.interval
    if low > 0:
        return Status.REPRODUCED, ""
    if high < 0:
        return Status.NOT_REPRODUCED, ""
    return Status.INCONCLUSIVE, "the interval holds 0"


def _verdict(
    claim: Claim, aspect: str, status: Status, found: Estimate, details: Sequence[str]
) -> Verdict:
    effect = finite(found.value)
    return Verdict(
        claim, aspect, status, effect, found.interval, found.n, found.method, tuple(details)
    )


def _too_few(n: int) -> str:
    return f"{n} seed{'s' * (n != 1)}; a verdict needs {SEEDS}"
