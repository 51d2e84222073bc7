"""How far a job is, in words, without waiting for any clock."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO, cast

import pytest

from hydratron.job import JobFolder
from hydratron.launch.lines import RARELY, Lines, News, Pace, told
from tests.helpers.jobs import write_rows


def row(step: int, seconds: float = 0.0) -> dict[str, Any]:
    rate = {"perf/tokens_per_second": 3210.4}
    return {"step": step, "seconds": seconds, "train/loss": 5.1234, **rate}


def test_what_is_known_of_a_job() -> None:
    pace = Pace(160)
    assert pace.text({"step": 1}) == ["step 1/160"]
    assert pace.text(row(1, 2.0)) == ["step 1/160", "loss 5.123", "3,210 tokens/s"]
    assert pace.text(row(41, 42.0))[-1] == "about 2 min left"
    assert pace.text(row(160, 200.0))[-1] == "about 0 s left"


def test_the_time_left_of_a_resumed_job_counts_its_own_steps_only() -> None:
    pace = Pace(1000)
    pace.text(row(900, 1800.0))
    assert pace.text(row(910, 1810.0))[-1] == "about 2 min left"
    # It went on from an earlier checkpoint than the first row told.
    assert len(pace.text(row(500, 1000.0))) == 3
    assert pace.text(row(501, 1002.0))[-1] == "about 17 min left"


def test_lines_come_often_at_first_and_then_rarely() -> None:
    out = io.StringIO()
    lines = Lines("[1/2] job", 100_000, out)
    for second in range(7200):
        lines.see(row(second + 1, second), 50.0 + second)
    times = [int(line.split()[3].partition("/")[0]) - 1 for line in out.getvalue().splitlines()]
    waits = [b - a for a, b in pairwise(times)]
    assert times[:4] == [0, 30, 60, 90]
    assert waits == sorted(waits)
    assert waits[-1] == RARELY
    assert out.getvalue().startswith("[1/2] job: step 1/100000, loss 5.123, 3,210 tokens/s\n")


def test_the_first_and_the_last_row_are_always_told() -> None:
    out = io.StringIO()
    lines = Lines("job", 40, out)
    for step in (1, 20, 20, 40, 40):
        lines.see(row(step, float(step)), float(step))
    told = [line.split(",")[0] for line in out.getvalue().splitlines()]
    assert told == ["job: step 1/40", "job: step 40/40"]


def test_a_reader_that_is_gone_ends_no_job() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    Lines("job", 40, cast(TextIO, Gone())).see(row(1), 0.0)


def test_rows_of_an_earlier_attempt_are_no_news(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    assert News(folder).row() is None
    write_rows(folder, 10, 20)
    news = News(folder)
    assert news.row() is None
    write_rows(folder, 10)
    assert news.row() == {"step": 10, "tokens": 100}


def test_a_rank_without_launcher_tells_its_own_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = JobFolder(tmp_path / "job")
    with told(folder, 40):
        write_rows(folder, 10, 20)
        with folder.metrics.open("a") as file:
            file.write(json.dumps({"step": 20, "val/loss": 4.0}) + "\n")
    assert capsys.readouterr().err.splitlines() == ["job: step 20/40"]
