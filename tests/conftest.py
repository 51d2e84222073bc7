"""`--all` runs whole matrices, of which the suite has a choice: `make parity`, `make faults`.

Ranks share memory in them; `make parity ARGS=--transport=gloo` has the same matrix with gloo.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import transport
from tests.helpers.fault_table import FaultTable, note_rows


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="the cells of matrices marked `whole` too")
    parser.addoption("--soak", type=float, default=60, help="seconds of random faults, with --all")
    parser.addoption("--fault-table", type=Path, help="write here what became of each fault")
    keep = "leave the rows of --fault-table that this run does not show as they are"
    parser.addoption("--keep-rows", action="store_true", help=keep)
    talk = "by what the ranks of trainings talk, where a test does not say it"
    parser.addoption("--transport", choices=["auto", "gloo"], default="auto", help=talk)


def pytest_configure(config: pytest.Config) -> None:
    transport.choose(config.getoption("--transport"))
    path = config.getoption("--fault-table")
    if path and not hasattr(config, "workerinput"):  # xdist's other processes only report.
        config.pluginmanager.register(FaultTable(path, config.getoption("--keep-rows")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    note_rows(items)
    if config.getoption("--all"):
        return
    left = [item for item in items if item.get_closest_marker("whole")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
