from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from hydratron.errors import HydratronError
from hydratron.reporting import ReportPaths, live
from hydratron.reporting.dashboard import page
from hydratron.reporting.live import Watched, follow, status
from hydratron.reporting.records import Run, read_run, read_runs
from tests.unit.reporting.synthetic import PICO, config, rows, write_job


def test_it_ends_when_all_jobs_have_ended_with_an_ordinary_page(tmp_path: Path) -> None:
    job = write_job(tmp_path / "s" / "0", config(), rows(config(), 40), status=None)
    html, pages, lines = tmp_path / "s" / "dashboard.html", [], []

    def tell(line: str) -> None:
        lines.append(line)
        assert len(lines) < 10, "it does not end"
        pages.append(html.read_text())
        if len(lines) == 2:
            (job / "result.json").write_text('{"status": "completed"}')

    runs = follow([tmp_path / "s"], tell, every=0, settle=0)
    assert lines == ["1 jobs: 1 running; 0 at step 40 of 400"] * 2 + ["1 jobs: 1 completed"]
    assert all("live, written at" in text for text in pages)
    # Nothing changed between the first two looks.
    assert pages[0] == pages[1] != pages[2]
    assert "live, written at" not in html.read_text()
    assert ReportPaths.of(tmp_path / "s").curves.exists()
    assert [run.status for run in runs] == ["completed"]
    assert not list((tmp_path / "s").glob(".*"))


def test_the_page_is_written_anew_only_when_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_job(tmp_path / "s" / "0", config(), rows(config(), 40), status=None)
    written: list[int] = []
    looks = 0

    def counted(runs: Sequence[Run], title: str, reload_seconds: float) -> str:
        written.append(looks)
        return page(runs, title, reload_seconds)

    def tell(_: str) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            with (job / "metrics.jsonl").open("a") as file:
                file.write('{"step": 42, "tokens": 1}\n')
        if looks == 6:
            (job / "result.json").write_text('{"status": "completed"}')
        assert looks < 20, "it does not end"

    monkeypatch.setattr(live, "page", counted)
    follow([tmp_path / "s"], tell, every=0, settle=0)
    # At the first look, at the one after the new row, and at the one after the end.
    assert written == [0, 3, 6]


def test_between_two_jobs_of_a_sweep_it_waits(tmp_path: Path) -> None:
    write_job(tmp_path / "s" / "0", config(), rows(config(), 4))
    watched = Watched([tmp_path / "s"])
    watched.read()
    assert watched.quiet_seconds() < 60
    for path in (tmp_path / "s" / "0").iterdir():
        os.utime(path, (1e9, 1e9))
    watched.read()
    assert watched.quiet_seconds() > 1e7
    (tmp_path / "s" / "0" / "result.json").touch()
    looks = []

    def tell(line: str) -> None:
        looks.append(line)
        if len(looks) == 3:
            raise KeyboardInterrupt

    # The result is new: another job may follow, so it looks again.
    follow([tmp_path / "s"], tell, every=0, settle=1e6)
    assert len(looks) == 3


def test_control_c_leaves_an_ordinary_page(tmp_path: Path) -> None:
    write_job(tmp_path / "s" / "0", config(), rows(config(), 40), status=None)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    follow([tmp_path / "s"], interrupt, every=0)
    assert "live, written at" not in (tmp_path / "s" / "dashboard.html").read_text()


def test_only_what_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [write_job(tmp_path / "s" / str(i), config(), rows(config(), 4)) for i in range(3)]
    seen: list[Path] = []

    def counted(path: Path) -> Run:
        seen.append(path)
        return read_run(path)

    monkeypatch.setattr(live, "read_run", counted)
    watched = Watched([tmp_path / "s"])
    watched.read()
    assert seen == jobs
    with (jobs[1] / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "tokens": 1}\n')
    assert len(watched.read()[1].rows) == len(read_run(jobs[0]).rows) + 1
    assert seen[3:] == [jobs[1]]
    write_job(tmp_path / "s" / "3", config(PICO), [])
    assert len(watched.read()) == 4


def test_a_folder_without_jobs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HydratronError, match="no job folder"):
        follow([tmp_path], print, every=0, settle=0)
    assert list(tmp_path.iterdir()) == []


def test_the_status_counts_the_states(tmp_path: Path) -> None:
    write_job(tmp_path / "s" / "0", config(), rows(config(), 4))
    write_job(tmp_path / "s" / "1", config(), [], "diverged")
    assert status(read_runs(tmp_path / "s")) == "2 jobs: 1 completed, 1 diverged"
