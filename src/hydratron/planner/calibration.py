"""The five constants that say how much of a machine's speed a job reaches, fitted to step times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hydratron.config.cluster import ClusterConfig
from hydratron.config.parallel import ParallelConfig
from hydratron.errors import HydratronError
from hydratron.planner.time_model import Terms, leaves_host, step_time

SHARES = ("compute_efficiency", "memory_efficiency", "link_efficiency", "node_efficiency")
CONSTANTS = (*SHARES, "kernel_microseconds")
DIGITS = 3


@dataclass(frozen=True)
class Sample:
    """A planned step at the full speed of the hardware, and the seconds that it really took.

    `overlapped`: the data group's all-reduces ran behind the backward and took no time of their own
    (ours do not).
    """

    terms: Terms
    parallel: ParallelConfig
    seconds: float
    overlapped: bool = False

    @property
    def exposed(self) -> Terms:
        """The terms that make up the time of the step."""
        return replace(self.terms, data=0.0) if self.overlapped else self.terms


def fit(samples: Sequence[Sample], cluster: ClusterConfig) -> ClusterConfig:
    """The cluster with the constants that make the relative errors of the seconds least.

    The seconds are linear in the inverse of the four shares and in the cost of a kernel, so that
    the least squares under their bounds (a share is at most 1, a cost at least 0) are unique.
    Raises HydratronError for fewer samples than constants.
    """
    if len(samples) < len(CONSTANTS):
        raise HydratronError(f"a fit of {len(CONSTANTS)} constants to {len(samples)} step times")
    from scipy.optimize import lsq_linear

    seconds = np.array([sample.seconds for sample in samples])
    matrix = _coefficients(samples, cluster)
    solved = np.array([1.0] * len(SHARES) + [0.0])
    # What takes no time in any sample keeps full speed.
    told = matrix.any(axis=0)
    bounds = (solved[told], np.full(told.sum(), np.inf))
    relative = matrix[:, told] / seconds[:, None]
    solved[told] = lsq_linear(relative, np.ones(len(seconds)), bounds, method="bvls").x
    *inverse, microseconds = map(float, solved)
    found: dict[str, Any] = {name: 1 / x for name, x in zip(SHARES, inverse, strict=True)}
    return replace(cluster, **found, kernel_microseconds=microseconds)


def leave_one_out(samples: Sequence[Sample], cluster: ClusterConfig) -> list[float]:
    """The seconds of each sample as a fit to all the others predicts them.

    Not a number for one without which nothing tells a constant that it needs.
    """
    needed = _coefficients(samples, cluster) != 0
    found = []
    for place, sample in enumerate(samples):
        others = [*samples[:place], *samples[place + 1 :]]
        told = np.delete(needed, place, axis=0).any(axis=0)
        known = bool((told | ~needed[place]).all())
        found.append(predicted(sample, fit(others, cluster)) if known else math.nan)
    return found


def predicted(sample: Sample, cluster: ClusterConfig) -> float:
    """The seconds of a step with the constants of the cluster."""
    return step_time(sample.exposed, sample.parallel, cluster).total


def rounded(cluster: ClusterConfig) -> dict[str, float]:
    """The five constants to three digits, as conf/cluster has them."""
    return {name: float(f"{getattr(cluster, name):.{DIGITS}g}") for name in CONSTANTS}


def _coefficients(samples: Sequence[Sample], cluster: ClusterConfig) -> np.ndarray:
    """(samples, constants): seconds for a unit of each inverse share and of a microsecond."""
    rows = []
    for sample in samples:
        found, wires = sample.exposed, [0.0, 0.0]
        far = leaves_host(sample.parallel, cluster)
        for seconds, outside in zip((found.tensor, found.data), far, strict=True):
            wires[outside] += seconds
        rows.append([found.compute, found.memory, *wires, 1e-6 * found.kernels])
    return np.array(rows)
