from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from hydratron.config.parallel import ParallelConfig
from hydratron.config.schema import Config
from hydratron.errors import HydratronError
from hydratron.job import flatten
from hydratron.locks import locked
from hydratron.reporting import load
from hydratron.reporting.records import RECENT_SECONDS, Run, read_run, read_runs
from hydratron.reporting.rows import read_metrics
from tests.unit.reporting.synthetic import DIVERGED, FAILURE, NANO, config, write_job, write_sweep


def test_a_job_folder_a_sweep_and_several_folders_are_accepted(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep")
    job = write_job(tmp_path / "alone" / "000_one", config())
    assert len(read_runs(sweep)) == 6
    assert [run.name for run in read_runs(str(job))] == ["000_one"]
    # A folder that is named twice, once through its sweep, counts once.
    again = sweep / ".." / "sweep" / "000_gpt_pico-single-pre-s1"
    assert len(read_runs([sweep, job, again])) == 7


def test_a_folder_without_jobs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HydratronError, match=r"no job folder \(one with a config.yaml\)"):
        load(tmp_path)
    with pytest.raises(HydratronError, match="no job folder"):
        load(tmp_path / "missing")
    with pytest.raises(HydratronError, match="no folder"):
        load([])


def test_lines_that_are_not_whole_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "tokens": 4}\n{"step": 2, "to{"step": 3}\n7\n{"step": 4}\n{"ste')
    assert [row["step"] for row in read_metrics(path)] == [1, 4]
    assert read_metrics(tmp_path / "absent.jsonl") == []


def test_steps_logged_again_replace_those_before(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    steps = [(10, "a"), (10, "b"), (20, "a"), (30, "a"), (20, "c"), (40, "c")]
    path.write_text("".join(json.dumps({"step": s, "from": f}) + "\n" for s, f in steps))
    found = [(row["step"], row["from"]) for row in read_metrics(path)]
    assert found == [(10, "a"), (10, "b"), (20, "c"), (40, "c")]


@pytest.mark.fault(57)
def test_the_lock_tells_whether_a_job_still_runs(tmp_path: Path) -> None:
    run = read_run(write_job(tmp_path / "job", config(), status=None))
    with locked(run.folder / ".lock"):
        assert read_run(run.folder).status == "running"
        old = time.time() - RECENT_SECONDS - 60
        os.utime(run.folder / "metrics.jsonl", (old, old))
        assert read_run(run.folder).status == "running"
    os.utime(run.folder / "metrics.jsonl")
    assert read_run(run.folder).status == "unfinished"


@pytest.mark.fault(57)
def test_a_file_of_the_future_does_not_keep_a_job_alive(tmp_path: Path) -> None:
    run = read_run(write_job(tmp_path / "job", config(), status=None))
    for seconds, status in ((60, "running"), (86_400, "unfinished")):
        later = time.time() + seconds
        os.utime(run.folder / "metrics.jsonl", (later, later))
        assert read_run(run.folder).status == status


def test_the_state_of_a_run_and_its_cause(tmp_path: Path) -> None:
    running = read_run(write_job(tmp_path / "running", config(), status=None))
    assert (running.status, running.cause) == ("running", None)
    old = time.time() - RECENT_SECONDS - 60
    os.utime(running.folder / "metrics.jsonl", (old, old))
    assert read_run(running.folder).status == "unfinished"
    assert read_run(write_job(tmp_path / "new", config(), [], None)).status == "unfinished"
    failed = read_run(write_job(tmp_path / "failed", config(), [], None, FAILURE))
    assert failed.status == "failed"
    assert failed.cause is not None
    assert failed.cause.startswith("RuntimeError: [enforce fail")
    assert failed.cause.endswith("(rank 1, step 130)")
    # A failure of an attempt before the one that ended well is not this run's cause.
    again = read_run(write_job(tmp_path / "again", config(), failure=FAILURE))
    assert (again.status, again.cause) == ("completed", None)
    silent = read_run(write_job(tmp_path / "silent", config(), [], "failed"))
    assert silent.cause == "no failure.json"
    (silent.folder / "result.json").write_text(
        '{"status": "failed", "kind": "Refused", "message": "why\\nmore"}'
    )
    assert read_run(silent.folder).cause == "Refused: why"
    blown = read_run(write_job(tmp_path / "blown", config(), [], "diverged"))
    assert blown.cause == DIVERGED


@pytest.mark.parametrize(("tp", "dp"), [(1, 1), (2, 1), (1, 2), (8, 64)])
def test_the_label_of_the_degree_is_the_one_of_the_configuration(tp: int, dp: int) -> None:
    cfg = Config(parallel=ParallelConfig(tp, dp))
    assert Run(Path("job"), flatten(asdict(cfg))).parallel == cfg.parallel.label


def test_final_values_come_from_the_result_then_from_the_last_row(tmp_path: Path) -> None:
    rows = [{"step": 1, "val/loss": 5.0}, {"step": 2, "lr": 0.1}]
    run = read_run(write_job(tmp_path / "a", config(), rows, status=None))
    assert (run.final("val/loss"), run.final("step"), run.final("perf/mfu")) == (5.0, 2.0, None)
    job = write_job(tmp_path / "b", config(), rows, status=None)
    (job / "result.json").write_text('{"status": "completed", "val/loss": 4.5}')
    assert read_run(job).final("val/loss") == 4.5


def test_runs_without_metrics_and_values_that_are_not_finite(tmp_path: Path) -> None:
    write_job(tmp_path / "s" / "0", config(), [], None, FAILURE)
    assert load(tmp_path / "s").empty
    write_job(tmp_path / "s" / "1", config(NANO), [{"step": 1, "train/loss": math.nan}], "diverged")
    frame = load(tmp_path / "s")
    assert list(frame["run"]) == ["1"]
    assert frame["train/loss"].isna().all()
    assert [len(part) for part in read_run(tmp_path / "s" / "1").curve("train/loss")] == [0, 0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.yaml", "a: [", "config.yaml: is not YAML"),
        ("config.yaml", "- a", "config.yaml: is not a configuration"),
        ("result.json", "{", "result.json: is not JSON"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    job = write_job(tmp_path / "job", config())
    (job / name).write_text(text)
    with pytest.raises(HydratronError, match=message):
        read_runs(job)


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("", {"pandas", "plotly", "rich", "numpy", "torch", "yaml"}),
        ("dashboard, terminal, live", {"torch", "lightning", "hydra", "omegaconf", "wandb"}),
    ],
)
def test_the_room_imports_nothing_heavy(modules: str, heavy: set[str]) -> None:
    named = [f"hydratron.reporting.{m}" for m in modules.split(", ") if m]
    code = f"import sys, {', '.join(['hydratron.reporting', *named])}; "
    code += f"print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
