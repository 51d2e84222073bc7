"""What a sweep shows, as data: a sentence for each thing that was swept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hydratron.reporting.agreements import agreements
from hydratron.reporting.comparisons import comparisons
from hydratron.reporting.orders import size_orders
from hydratron.reporting.records import Run

SHOWN = 12
"""Where there are more findings than this, the rest is folded on the page."""


class Finding(Protocol):
    """One statement about a sweep; `holds` is None where there is nothing to judge."""

    @property
    def holds(self) -> bool | None: ...

    def sentence(self) -> str: ...


def findings(runs: Sequence[Run]) -> list[Finding]:
    """Everything the runs allow to say, in reading order; empty when nothing is comparable."""
    return [*size_orders(runs), *agreements(runs), *comparisons(runs)]
