"""`hydratron report --live`: the page is written anew while jobs run, when something changed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hydratron.job import JobFolder, write_text
from hydratron.reporting import ReportPaths
from hydratron.reporting.dashboard import page, title_of
from hydratron.reporting.records import UNDER_WAY, Run, find_jobs, is_alive, listed, read_run
from hydratron.reporting.writing import write_report

EVERY_SECONDS = 3.0
# A sweep on one host starts its jobs one after the other: between two of them all have ended.
SETTLE_SECONDS = 15.0
LEAST_RELOAD_SECONDS = 5.0
# When each file of a job was written, in nanoseconds, and its size; None for one not there.
Stamp = tuple[tuple[int, int] | None, ...]


class Watched:
    """The runs of some folders; only what changed on the disk is read again."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders
        self._known: dict[Path, tuple[Stamp, Run]] = {}

    def read(self) -> list[Run]:
        """The runs as they are now; HydratronError as `read_runs`."""
        found = {}
        for path in find_jobs(self.folders):
            stamp = _stamp(path)
            known = self._known.get(path)
            run = known[1] if known and known[0] == stamp else read_run(path)
            alive = is_alive(JobFolder(path))
            found[path] = (stamp, run if run.alive == alive else replace(run, alive=alive))
        self._known = found
        return listed([run for _, run in found.values()])

    def quiet_seconds(self) -> float:
        """How long before now a file of the runs was last written."""
        written = (stat[0] for stamp, _ in self._known.values() for stat in stamp if stat)
        return time.time() - max(written, default=0) / 1e9


def follow(
    folders: Sequence[Path],
    tell: Callable[[str], None],
    *,
    every: float = EVERY_SECONDS,
    settle: float = SETTLE_SECONDS,
) -> list[Run]:
    """Write the page whenever a job logged or ended, until all jobs have ended or Ctrl-C.

    `tell` gets a line of status at every look, `every` seconds apart; all jobs have ended when
    none is under way and no file of theirs changed for `settle` seconds. The last write is an
    ordinary report of the runs that are returned. Raises HydratronError when a folder holds none.
    """
    watched = Watched(folders)
    shown: list[tuple[object, ...]] | None = None
    runs: list[Run] = []
    try:
        while True:
            runs = watched.read()
            now = [(run.folder, run.status, len(run.rows)) for run in runs]
            if now != shown:
                shown = list(now)
                _write_page(runs, folders)
            tell(status(runs))
            ended = not any(run.status in UNDER_WAY for run in runs)
            if ended and watched.quiet_seconds() >= settle:
                break
            time.sleep(every)
    except KeyboardInterrupt:
        runs = watched.read()
    write_report(runs, folders)
    return runs


def status(runs: Sequence[Run]) -> str:
    """How many jobs are in which state, and how far the one is that logged last."""
    states = Counter(run.status for run in runs)
    text = f"{len(runs)} jobs: " + ", ".join(f"{n} {state}" for state, n in states.items())
    running = [run for run in runs if run.status == "running"]
    if running:
        last = running[-1]
        total = last.settings.get("trainer.max_steps")
        text += f"; {last.name} at step {last.final('step') or 0:.0f}"
        text += f" of {total}" if total else ""
    return text


def _write_page(runs: Sequence[Run], folders: Sequence[Path]) -> None:
    started = time.monotonic()
    html = page(runs, title_of(folders, runs), LEAST_RELOAD_SECONDS)
    write_text(ReportPaths.of(Path(folders[0])).dashboard, html)
    # As long again, so that writing never takes more than half of one core.
    time.sleep(time.monotonic() - started)


def _stamp(path: Path) -> Stamp:
    job = JobFolder(path)
    files = (job.config, job.metrics, job.result, job.failure, job.provenance)
    stats = [file.stat() if file.exists() else None for file in files]
    return tuple((s.st_mtime_ns, s.st_size) if s else None for s in stats)
