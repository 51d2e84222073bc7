"""From job folders to tables, findings and one static page; everything heavy is imported late."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ReportPaths", "load", "print_summary", "report"]


class ReportPaths(NamedTuple):
    """Where a report lies: all its files in the first of its folders."""

    dashboard: Path
    summary: Path
    curves: Path

    @classmethod
    def of(cls, folder: Path) -> ReportPaths:
        return cls(folder / "dashboard.html", folder / "summary.csv", folder / "curves.csv")


def load(folders: Path | str | Sequence[Path | str]) -> pd.DataFrame:
    """All logged metrics of one or several folders as one tidy frame, one row per logged row.

    Columns: run, sweep, status, model, parallel, seed, every option that differs between the jobs
    by its full key (`model.layernorm.placement`), step, tokens, seconds, then the metrics.
    Raises HydratronError when a folder holds no jobs.
    """
    from hydratron.reporting.frame import tidy
    from hydratron.reporting.records import read_runs

    return tidy(read_runs(folders))


def report(folders: Sequence[Path], *, summary: bool = False) -> ReportPaths:
    """Write dashboard.html, summary.csv and curves.csv into the first folder, each by rename.

    With `summary` it then prints what `print_summary` does; the runs are read once for both.
    Raises HydratronError when a folder holds no jobs.
    """
    from hydratron.reporting.records import read_runs
    from hydratron.reporting.writing import write_report

    runs = read_runs(folders)
    paths = write_report(runs, folders)
    if summary:
        from hydratron.reporting.terminal import show

        show(runs, paths)
    return paths


def print_summary(folders: Path | Sequence[Path]) -> None:
    """The runs by validation loss, the findings, and last the paths of the report.

    Raises HydratronError when a folder holds no jobs.
    """
    from hydratron.reporting.records import read_runs
    from hydratron.reporting.terminal import show

    first = folders if isinstance(folders, Path) else folders[0]
    show(read_runs(folders), ReportPaths.of(Path(first)))
