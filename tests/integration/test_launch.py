"""Jobs as real processes: what they write, what they survive and what they leave behind."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import joblib
import pytest

from hydratron.config.load import dump
from hydratron.config.schema import Config, LaunchConfig
from hydratron.job import JobFolder, read_json
from hydratron.launch import forkserver, torchrun
from hydratron.launch.run import run_job
from hydratron.launch.supervision import agent_log
from hydratron.locks import locked
from tests.helpers.jobs import (
    TRAINS,
    checkpoint,
    position,
    small_config,
    steps,
    wait_until,
    write_rows,
)
from tests.helpers.launchers import launcher_program, python, start_launcher

pytestmark = pytest.mark.fault

KINDS = ("local", "torchrun")


def run(config: Config, folder: Path, train: str) -> dict[str, Any]:
    return run_job(config, folder, [], position(), f"{TRAINS}:{train}")


@pytest.mark.parametrize("kind", KINDS)
def test_all_ranks_complete(tmp_path: Path, kind: str) -> None:
    before = dict(os.environ)
    result = run(small_config(tmp_path, kind=kind), tmp_path / "job", "complete")
    assert result["status"] == "completed"
    assert result["sum"] == 2.0**4
    assert result["run_id"]
    job = JobFolder(tmp_path / "job")
    assert steps(job) == [1, 2, 3, 4]
    assert result == read_json(job.result)
    left = {path.name for path in job.path.iterdir()} - {"logs"}
    written = {"config.yaml", "overrides.yaml", "provenance.json", "metrics.jsonl", "result.json"}
    assert left == written | {".lock"}
    assert dict(os.environ) == before


def test_a_rank_sees_the_launchers_environment_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(tmp_path, ranks=1)
    for value in ("one", "two"):
        monkeypatch.setenv("MARKER", value)
        assert run(config, tmp_path / value, "complete")["marker"] == value
    monkeypatch.delenv("MARKER")
    assert run(config, tmp_path / "none", "complete")["marker"] is None


def test_threads_are_shared_or_as_asked(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    cores = len(os.sched_getaffinity(0))
    assert run(config, tmp_path / "a", "complete")["threads"] == max(1, cores // 2)
    config.launch = LaunchConfig(threads_per_rank=3)
    assert run(config, tmp_path / "b", "complete")["threads"] == 3


FAILURES = [
    ("raise_on_last", "ValueError", "on purpose"),
    ("kill_last", "Killed", "rank 1 was killed by SIGKILL"),
    ("exit_on_last", "SystemExit", "sys.exit(3)"),
    ("vanish_on_last", "Exit", "rank 1 ended with code 7"),
    ("deaf", "ValueError", "on purpose"),
]


@pytest.mark.fault(1, 4, 45)
@pytest.mark.parametrize(("train", "kind", "message"), FAILURES)
def test_a_failure_names_rank_and_cause_and_ends_no_other_job(
    tmp_path: Path, train: str, kind: str, message: str
) -> None:
    config = small_config(tmp_path)
    result = run(config, tmp_path / "bad", train)
    assert (result["status"], result["rank"]) == ("failed", 1)
    assert (result["kind"], result["message"]) == (kind, message)
    assert JobFolder(tmp_path / "bad").status() == "failed"
    failed = read_json(tmp_path / "bad" / "failure.json")
    assert failed is not None
    assert failed["kind"] == kind
    assert run(config, tmp_path / "good", "complete")["status"] == "completed"


@pytest.mark.fault(4)
@pytest.mark.parametrize("kind", KINDS)
def test_a_rank_that_fails_and_stays_is_ended(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for launcher in (forkserver, torchrun):
        monkeypatch.setattr(launcher, "GRACE_SECONDS", 0.5)
    result = run(small_config(tmp_path, kind=kind), tmp_path / "bad", "fail_and_stay")
    assert (result["status"], result["rank"]) == ("failed", 1)
    assert (result["kind"], result["message"]) == ("ValueError", "on purpose")


@pytest.mark.fault(1)
def test_torchrun_names_rank_and_cause(tmp_path: Path) -> None:
    result = run(small_config(tmp_path, kind="torchrun"), tmp_path / "bad", "kill_last")
    assert (result["status"], result["rank"]) == ("failed", 1)
    assert result["message"] == "rank 1 was killed by SIGKILL"


@pytest.mark.fault(4)
def test_the_log_of_a_failed_rank_has_its_traceback(tmp_path: Path) -> None:
    result = run(small_config(tmp_path), tmp_path / "bad", "raise_on_last")
    assert result["step"] == 3
    log = (tmp_path / "bad" / result["log"]).read_text()
    assert "FAULT kind=ValueError rank=1 step=3 action=exit\n" in log
    assert "raise_on_last" in log


def test_the_wrong_number_of_ranks_is_refused(tmp_path: Path) -> None:
    dump(small_config(tmp_path, ranks=2), tmp_path / "config.yaml")
    done = python("-m", "hydratron.launch.worker", str(tmp_path)).wait()
    assert done == 1
    failed = read_json(tmp_path / "failure.json")
    assert failed is not None
    assert failed["message"] == "parallel=tp2: 2 ranks, not 1"


@pytest.mark.fault(51)
def test_a_worker_on_its_own_takes_the_folder_as_a_launcher_does(tmp_path: Path) -> None:
    dump(small_config(tmp_path, ranks=1), tmp_path / "config.yaml")
    with locked(tmp_path / ".lock"):
        worker = python("-m", "hydratron.launch.worker", str(tmp_path), stderr=subprocess.PIPE)
        _, said = worker.communicate()
    assert worker.returncode == 1
    line = said.decode().splitlines()[-1]
    assert line == f"hydratron: {tmp_path}: another process is running this job"
    assert not (tmp_path / "failure.json").exists()


def test_a_cut_job_goes_on_from_its_newest_checkpoint(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    run(config, tmp_path / "job", "raise_on_last")
    job = JobFolder(tmp_path / "job")
    write_rows(job, 1, 2, 3, 9)
    start = checkpoint(job, 2)
    result = run(config, job.path, "complete")
    assert result["resume_from"] == str(start)
    assert steps(job) == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_variables_that_a_login_script_sets_change_no_job(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "PET_NNODES"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("MASTER_ADDR", "no.such.host")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "ib0")
    result = run(small_config(tmp_path, kind=kind), tmp_path / "job", "complete")
    assert (result["status"], result["sum"]) == ("completed", 2.0**4)


def test_a_bare_machine_runs_a_job_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")  # No torchrun's: that says more.
    dump(small_config(tmp_path, ranks=1), tmp_path / "config.yaml")
    arguments = ("-m", "hydratron.launch.worker", str(tmp_path), "--train", f"{TRAINS}:complete")
    assert python(*arguments).wait() == 0
    result = read_json(tmp_path / "result.json")
    assert result is not None
    assert result["unwanted"] == []
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(("train", "code"), [("complete", 0), ("kill_last", 1)])
def test_two_hosts_end_alike_and_keep_their_own_logs(tmp_path: Path, train: str, code: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configs = [
        dataclasses.replace(
            small_config(tmp_path),
            launch=LaunchConfig("torchrun", 0, 2, node, f"127.0.0.1:{port}"),
        )
        for node in (0, 1)
    ]
    job = JobFolder(tmp_path / "job")
    # The later host waits for the first, which clears the folder when it comes.
    second = start_launcher(tmp_path, configs[1], train)
    assert wait_until(agent_log(job, 1).exists)
    first = start_launcher(tmp_path, configs[0], train)
    assert (first.wait(), second.wait()) == (code, code)
    result = read_json(job.result)
    assert result is not None
    if code:
        assert result["message"] == "rank 1 was killed by SIGKILL"
        assert "exitcode: -9" in agent_log(job, 1).read_text()
    else:
        assert result["sum"] == 2.0**4
        # Torch's later agent complains when the first has closed its store before it has looked.
        assert set(job.path.glob("logs/*")) <= {agent_log(job, 1)}


def test_the_callers_script_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"print('once', flush=True)\n{launcher_program(tmp_path, 'complete')}")
    dump(small_config(tmp_path), tmp_path / "in.yaml")
    launcher = python(str(script), stdout=subprocess.PIPE)
    out, _ = launcher.communicate()
    assert launcher.returncode == 0
    assert out == b"once\n"


def test_jobs_run_inside_joblib_workers(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    jobs = [joblib.delayed(run)(config, tmp_path / str(n), "complete") for n in range(4)]
    results = joblib.Parallel(n_jobs=2)(jobs)
    assert [result["status"] for result in results] == ["completed"] * 4


def test_overhead_of_a_warm_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small_config(tmp_path)
    seconds = []
    for n in range(4):
        began = time.perf_counter()
        assert run(config, tmp_path / str(n), "complete")["status"] == "completed"
        seconds.append(time.perf_counter() - began)
    with capsys.disabled():
        print(f" two ranks, seconds per job: {' '.join(f'{s:.2f}' for s in seconds)}")
