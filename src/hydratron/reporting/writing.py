"""The files of a report, written by rename into the first of its folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydratron.job import replacing, write_text
from hydratron.reporting import ReportPaths
from hydratron.reporting.dashboard import page, title_of
from hydratron.reporting.exports import write_curves
from hydratron.reporting.records import Run
from hydratron.reporting.tables import summary


def write_report(runs: Sequence[Run], folders: Sequence[Path]) -> ReportPaths:
    """All files of the report; what is there already is replaced."""
    paths = ReportPaths.of(Path(folders[0]))
    write_text(paths.summary, summary(runs).to_csv(index=False))
    with replacing(paths.curves) as file:
        write_curves(runs, file)
    write_text(paths.dashboard, page(runs, title_of(folders, runs)))
    return paths
