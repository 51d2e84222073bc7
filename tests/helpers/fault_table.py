"""The table of faults, written by the test run itself: `pytest -m fault --all --fault-table=FILE`.

A test says its rows by `@pytest.mark.fault(12, 13)` and may `record_property("measure", TEXT)`.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

ROWS = Path(__file__).parents[1] / "faults.yaml"
PROPERTY = "fault rows"
HEAD = """\
# Faults, and what became of each

Written by `make faults` from its own run; the rows stand in `tests/faults.yaml`. Verdicts: PASS,
FAIL, SKIPPED (its tests could not run on that machine), NOT TESTED (no test of the run shows it).
`make soak` renews its own row alone.

"""


@dataclass
class Shown:
    """What the tests of one row did."""

    outcomes: list[str] = field(default_factory=list)
    measures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        for outcome, verdict in (("failed", "FAIL"), ("passed", "PASS"), ("skipped", "SKIPPED")):
            if outcome in self.outcomes:
                return verdict
        return "NOT TESTED"

    @property
    def measure(self) -> str:
        if not self.outcomes:
            return ""
        count = f"{len(self.outcomes)} test{'s' * (len(self.outcomes) > 1)}, {self.seconds:.1f} s"
        return "; ".join([*dict.fromkeys(self.measures), count])


class FaultTable:
    """Collects what the tests report, with xdist in the process that starts the others."""

    def __init__(self, path: Path, keep: bool = False) -> None:
        """With `keep` the rows that no test of this run shows stay as the file has them."""
        self.path = path
        self.before: dict[int, str] = {}
        if keep and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            rows = [line for line in lines if line.startswith("| ") and line[2].isdigit()]
            self.before = {int(line.split()[1]): line for line in rows}
        self.rows: dict[int, list[str]] = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
        self.shown = {number: Shown() for number in self.rows}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = [(str(name), value) for name, value in report.user_properties]
        numbers = next((value for name, value in properties if name == PROPERTY), [])
        assert isinstance(numbers, list)
        for number in numbers:
            row = self.shown[number]
            row.seconds += report.duration
            if report.when == "call" or report.outcome != "passed":
                row.outcomes.append(report.outcome)
            if report.when == "teardown":
                row.measures += [str(value) for name, value in properties if name == "measure"]

    def pytest_sessionfinish(self) -> None:
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        renewed = {number: self._line(number) for number in self.rows}
        kept = {n: line for n, line in self.before.items() if not self.shown[n].outcomes}
        table = {n: line for n, line in (renewed | kept).items() if n in self.rows}
        count = sum(line.endswith("| PASS |") for line in table.values())
        lines = [
            f"{count} of {len(self.rows)} rows pass; {day}, Python {platform.python_version()}, "
            f"{platform.system()}.\n",
            "| # | fault | what must happen | measure | verdict |",
            "|---|---|---|---|---|",
            *table.values(),
        ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")

    def _line(self, number: int) -> str:
        fault, expected = self.rows[number]
        shown = self.shown[number]
        cells = [str(number), fault, expected, shown.measure, shown.verdict]
        return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def rows_of(item: pytest.Item) -> list[int]:
    """The rows that a test shows, over all of its marks."""
    marks = item.iter_markers("fault")
    return sorted({int(number) for mark in marks for number in mark.args})


def note_rows(items: Iterable[pytest.Item]) -> None:
    """Let each report carry its rows, also out of xdist's processes."""
    for item in items:
        if numbers := rows_of(item):
            item.user_properties.append((PROPERTY, numbers))
