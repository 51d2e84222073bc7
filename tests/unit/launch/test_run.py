"""run_job around a launcher that is only a function: skip, refuse, restart, record."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from hydratron.config.load import load
from hydratron.config.schema import Config, DataConfig, LaunchConfig
from hydratron.errors import DataError, Problem
from hydratron.job import JobFolder, read_json, write_json
from hydratron.launch import run
from hydratron.launch.run import run_job
from hydratron.launch.supervision import agent_log
from tests.helpers.jobs import checkpoint, position, small_config

Launch = Callable[[Config, JobFolder, Callable[[], None], str], None]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that were launched; each such job completes."""
    configs: list[Config] = []

    def complete(config: Config, job: JobFolder, poll: Callable[[], None], train: str) -> None:
        assert load(job.config) == config
        assert not job.result.exists()
        assert not job.failure.exists()
        configs.append(config)
        poll()
        write_json(job.result, {"status": "completed", "step": 4, "val/loss": 4.5})

    monkeypatch.setitem(run.LAUNCHERS, "local", complete)
    return configs


def launcher(monkeypatch: pytest.MonkeyPatch, launch: Launch) -> None:
    monkeypatch.setitem(run.LAUNCHERS, "local", launch)


def test_a_job_writes_its_folder_and_returns_its_result(
    tmp_path: Path, launched: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sweep" / "job"
    result = run_job(small_config(tmp_path), folder, ["seed=1"], position(1, 2))
    assert result == {"status": "completed", "step": 4, "val/loss": 4.5}
    assert yaml.safe_load((folder / "overrides.yaml").read_text()) == ["seed=1"]
    provenance = read_json(folder / "provenance.json")
    assert provenance is not None
    assert provenance["seed"] == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "[1/2] job: starting the ranks"
    assert lines[1].startswith("[1/2] job completed in 0 s, val/loss 4.500, about 0 s left")


def test_data_is_prepared_when_the_configuration_names_none(
    tmp_path: Path, launched: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(config: Config, *, progress: bool) -> Path:
        assert config.data.prepared is None
        assert not progress
        return tmp_path / "tokens"

    monkeypatch.setattr(run, "prepare_job", prepare)
    config = dataclasses.replace(small_config(tmp_path), data=DataConfig())
    run_job(config, tmp_path / "job", [], position())
    assert launched[0].data.prepared == str(tmp_path / "tokens")
    run_job(config, tmp_path / "job", [], position())
    assert len(launched) == 1


@pytest.mark.parametrize("status", ["completed", "diverged"])
def test_a_final_result_is_not_run_again(
    tmp_path: Path, launched: list[Config], capsys: pytest.CaptureFixture[str], status: str
) -> None:
    config = small_config(tmp_path)
    run_job(config, tmp_path / "job", [], position())
    write_json(tmp_path / "job" / "result.json", {"status": status, "step": 4})
    capsys.readouterr()
    elsewhere = dataclasses.replace(config, launch=LaunchConfig(threads_per_rank=3))
    result = run_job(elsewhere, tmp_path / "job", [], position(2, 3))
    assert result == {"status": status, "step": 4}
    assert len(launched) == 1
    assert capsys.readouterr().err == f"[2/3] job {status} before, skipped\n"


def test_a_result_of_other_data_says_so(
    tmp_path: Path, launched: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(tmp_path)
    assert config.data.prepared is not None
    manifest = Path(config.data.prepared) / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_text("{}")
    run_job(config, tmp_path / "job", [], position())
    write_json(tmp_path / "job" / "result.json", {"status": "completed", "step": 4})
    capsys.readouterr()
    manifest.write_text("{ }")
    run_job(config, tmp_path / "job", [], position())
    said = capsys.readouterr().err
    assert "job completed before, skipped; its data are others now" in said
    assert len(launched) == 1


def test_the_job_of_another_configuration_is_left_alone(
    tmp_path: Path, launched: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(tmp_path)
    folder = tmp_path / "job"
    run_job(config, folder, [], position())
    before = {path: path.read_text() for path in folder.glob("*.*")}
    other = dataclasses.replace(config, optim=dataclasses.replace(config.optim, lr=0.5))
    result = run_job(other, folder, [], position())
    assert result["status"] == "failed"
    assert "optim.lr: 0.001 -> 0.5" in result["message"]
    assert "hydra.sweep.dir" in result["message"]
    assert result["message"] in capsys.readouterr().err
    assert {path: path.read_text() for path in folder.glob("*.*")} == before
    assert len(launched) == 1


def test_a_folder_of_another_version_is_left_alone(tmp_path: Path, launched: list[Config]) -> None:
    (tmp_path / "config.yaml").write_text("no_such_option: 1\n")
    write_json(tmp_path / "provenance.json", {"overrides": [], "versions": {}})
    result = run_job(small_config(tmp_path), tmp_path, [], position())
    assert "holds a job of another version: no_such_option=1" in result["message"]
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize("status", ["failed", "preempted", None])
def test_an_unfinished_job_is_run_again(
    tmp_path: Path, launched: list[Config], status: str | None
) -> None:
    config = small_config(tmp_path)
    job = JobFolder(tmp_path / "job")
    run_job(config, job.path, [], position())
    job.result.unlink()
    if status:
        write_json(job.result, {"status": status})
        write_json(job.failure, {"rank": 0})
    assert run_job(config, job.path, [], position())["status"] == "completed"
    assert len(launched) == 2
    assert not job.failure.exists()


def test_the_parent_of_a_resumed_job_is_recorded(tmp_path: Path, launched: list[Config]) -> None:
    start = checkpoint(JobFolder(tmp_path / "parent"), 20)
    config = dataclasses.replace(small_config(tmp_path), resume=str(tmp_path / "parent"))
    run_job(config, tmp_path / "job", [], position())
    provenance = read_json(tmp_path / "job" / "provenance.json")
    assert provenance is not None
    assert provenance["parent"] == f"../parent/checkpoints/{start.name}"


def test_a_resume_of_nothing_fails_before_the_launch(
    tmp_path: Path, launched: list[Config]
) -> None:
    config = dataclasses.replace(small_config(tmp_path), resume=str(tmp_path / "nothing"))
    result = run_job(config, tmp_path / "job", [], position())
    assert result["status"] == "failed"
    assert "resume=" in result["message"]
    assert launched == []


def test_unusable_data_fails_the_job_only(
    tmp_path: Path, launched: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(config: Config, *, progress: bool) -> Path:
        raise DataError([Problem("data.path", "x", "no such file")])

    monkeypatch.setattr(run, "prepare_job", prepare)
    config = dataclasses.replace(small_config(tmp_path), data=DataConfig())
    result = run_job(config, tmp_path / "job", [], position())
    assert (result["status"], result["kind"]) == ("failed", "DataError")
    assert result["message"] == "data.path=x: no such file"
    assert JobFolder(tmp_path / "job").status() == "failed"


def test_ranks_that_leave_no_result_are_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher(monkeypatch, lambda config, job, poll, train: None)
    result = run_job(small_config(tmp_path), tmp_path / "job", [], position())
    assert result["message"] == "the ranks ended without a result"
    assert result == read_json(tmp_path / "job" / "result.json")


def test_a_failure_is_told_in_two_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(config: Config, job: JobFolder, poll: Callable[[], None], train: str) -> None:
        job.metrics.write_text(json.dumps({"step": 20, "tokens": 200}) + "\n")
        write_json(
            job.failure, {"rank": 1, "kind": "ValueError", "message": "on purpose", "step": 20}
        )

    launcher(monkeypatch, fail)
    result = run_job(small_config(tmp_path), tmp_path / "job", [], position(2, 2))
    assert (result["status"], result["rank"], result["tokens"]) == ("failed", 1, 200)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "FAULT kind=ValueError rank=1 step=20 action=job ended",
        "[2/2] job failed in 0 s, rank 1 at step 20: ValueError: on purpose (failure.json)",
    ]


def test_an_interrupt_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(config: Config, job: JobFolder, poll: Callable[[], None], train: str) -> None:
        write_json(job.failure, {"rank": 1, "kind": "RuntimeError", "message": "peer gone"})
        raise KeyboardInterrupt

    launcher(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_job(small_config(tmp_path), tmp_path / "job", [], position())
    assert JobFolder(tmp_path / "job").status() == "unfinished"
    assert not (tmp_path / "job" / "failure.json").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path, launched: list[Config]) -> None:
    with FileLock(tmp_path / ".lock"):
        result = run_job(small_config(tmp_path), tmp_path, [], position())
    assert "another process is running this job" in result["message"]
    assert not (tmp_path / "result.json").exists()
    assert launched == []


def test_a_folder_that_cannot_be_made_fails_the_job_only(
    tmp_path: Path, launched: list[Config]
) -> None:
    (tmp_path / "file").write_text("")
    result = run_job(small_config(tmp_path), tmp_path / "file" / "job", [], position())
    assert (result["status"], result["kind"]) == ("failed", "NotADirectoryError")


def test_a_later_host_leaves_the_folder_to_the_first(
    tmp_path: Path, launched: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(tmp_path)
    job = JobFolder(tmp_path / "job")
    run_job(config, job.path, ["first"], position())
    write_json(job.result, {"status": "preempted"})
    before = job.config.read_text()
    later = dataclasses.replace(config, launch=LaunchConfig(nodes=2, node_rank=1))
    new = {"status": "failed", "kind": "ValueError"}
    launcher(monkeypatch, lambda config, job, poll, train: write_json(job.result, new))
    with FileLock(job.path / ".lock"):
        result = run_job(later, job.path, ["second"], position())
    assert result == new == read_json(job.result)
    monkeypatch.setattr(run, "FIRST_HOST_SECONDS", 0.0)
    launcher(monkeypatch, lambda config, job, poll, train: None)
    result = run_job(later, job.path, ["second"], position())
    assert (result["status"], result["message"]) == ("failed", "the first host left no result")
    assert read_json(job.result) == new
    assert job.config.read_text() == before
    assert yaml.safe_load(job.overrides.read_text()) == ["first"]


def test_a_new_attempt_leaves_what_no_earlier_one_wrote(
    tmp_path: Path, launched: list[Config]
) -> None:
    config, logs = small_config(tmp_path), tmp_path / "job" / "logs"
    run_job(config, logs.parent, [], position())
    (logs.parent / "result.json").unlink()
    logs.mkdir()
    for name in ("rank_0.log", "torchrun_0.log", "torchrun_1.log", "mine.log"):
        (logs / name).write_text("words")
    run_job(config, logs.parent, [], position())
    assert sorted(path.name for path in logs.iterdir()) == ["mine.log", "torchrun_1.log"]


def test_a_job_that_did_not_start_is_started_again(
    tmp_path: Path, launched: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise ValueError("on purpose")

    job = JobFolder(tmp_path / "job")
    with monkeypatch.context() as broken:
        broken.setattr(run, "record", refuse)
        assert run_job(small_config(tmp_path), job.path, [], position())["status"] == "failed"
    assert not job.config.exists()
    log = agent_log(job, 1)
    log.parent.mkdir()
    log.write_text("another host waits")
    assert run_job(small_config(tmp_path), job.path, [], position())["status"] == "completed"
    assert log.exists()
