"""Lines and bars: what a person reads while jobs run."""

from __future__ import annotations

import io
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hydratron.config.schema import Config, LaunchConfig
from hydratron.config.trainer import TrainerConfig
from hydratron.job import JobFolder
from hydratron.launch.lines import duration
from hydratron.launch.progress import Display, Position, cause, end_line, say
from tests.helpers.jobs import write_rows
from tests.helpers.trains import log

CONFIG = Config(trainer=TrainerConfig(max_steps=40))


def test_time_left_follows_the_work() -> None:
    position = Position(2, 3, started=1000.0, work=(1.0, 2.0, 1.0))
    assert position.seconds_left(0.5, now=1010.0) == pytest.approx(10.0)
    assert Position(1, 3, 1000.0, (1.0, 2.0, 1.0)).seconds_left(0.0, 1010.0) is None


def test_skipped_jobs_are_no_work() -> None:
    position = Position(3, 4, started=1000.0, work=(0.0, 0.0, 1.0, 1.0))
    assert position.seconds_left(1.0, now=1010.0) == pytest.approx(10.0)
    assert Position(1, 1, 1000.0, (0.0,)).seconds_left(1.0, 1010.0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (120, "2 min"), (3 * 3600 + 400, "3.1 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_line_of_a_completed_job() -> None:
    position = Position(3, 6, time.time() - 120, (1.0,) * 6)
    result = {"status": "completed", "val/loss": 4.4609, "train/loss": 4.0}
    line = end_line("gpt_nano-tp2-pre-s1", position, result, 24.2)
    expected = "[3/6] gpt_nano-tp2-pre-s1 completed in 24 s, val/loss 4.461, about 2 min left"
    assert line == expected


def test_the_line_of_a_failed_job_is_one_line_with_the_cause() -> None:
    result = {
        "status": "failed",
        "rank": 1,
        "step": 20,
        "kind": "ValueError",
        "message": "two\nlines",
        "log": "logs/rank_1.log",
    }
    line = end_line("job", Position(1, 1, time.time(), (1.0,)), result, 3)
    expected = "rank 1 at step 20: ValueError: two lines (logs/rank_1.log)"
    assert line == f"job failed in 3 s, {expected}"
    assert cause(result | {"rank": None, "step": None, "log": None}).startswith("launcher: Value")


def test_lines_are_printed_as_they_are() -> None:
    out = io.StringIO()
    say("[3/6] [bold]x[/bold] " + 30 * "long ", Console(file=out, width=40))
    assert out.getvalue() == "[3/6] [bold]x[/bold] " + 30 * "long " + "\n"


def test_without_a_terminal_only_the_first_job_is_announced(tmp_path: Path) -> None:
    out = io.StringIO()
    for index in (1, 2):
        position = Position(index, 2, time.time(), (1.0, 1.0))
        with Display(CONFIG, JobFolder(tmp_path / "a"), position, Console(file=out)) as display:
            display.update()
    assert out.getvalue() == "[1/2] a: starting the ranks\n"


@pytest.mark.parametrize(("host", "expected"), [(0, ["a: step 20/40"]), (1, [])])
def test_without_a_terminal_the_first_host_tells_lines(
    host: int, expected: list[str], tmp_path: Path
) -> None:
    out, folder = io.StringIO(), JobFolder(tmp_path / "a")
    config = replace(CONFIG, launch=LaunchConfig(kind="torchrun", nodes=2, node_rank=host))
    position = Position(1, 1, time.time(), (1.0,))
    with Display(config, folder, position, Console(file=out)) as display:
        write_rows(folder, 10, 20)
        display.update()
        display.update()
    assert out.getvalue().splitlines()[1:] == expected


def test_a_single_job_on_a_terminal_has_its_time_left(tmp_path: Path) -> None:
    out, folder = io.StringIO(), JobFolder(tmp_path)
    console = Console(file=out, force_terminal=True, width=120)
    position = Position(1, 1, time.time(), (1.0,))
    folder.metrics.write_text('{"step": 10, "seconds": 5.0}\n')
    with Display(CONFIG, folder, position, console) as display:
        for row in ('{"step": 20, "seconds": 10.0}', '{"step": 30, "seconds": 40.0}'):
            folder.metrics.write_text(f"{row}\n")
            display.update()
    assert "step 30/40  about 30 s left" in out.getvalue()


def test_a_terminal_shows_step_loss_and_speed(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    folder = JobFolder(tmp_path)
    position = Position(1, 2, time.time() - 10, (1.0, 1.0))
    with Display(CONFIG, folder, position, console) as display:
        display.update()
        assert "starting the ranks" in out.getvalue()
        write_rows(folder, 10)
        log(folder, 20)
        display.update()
    assert "step 20/40  loss 3.000" in out.getvalue()
    assert re.search(r"about 3\d s left", out.getvalue())
