"""W&B gets the run's group, type, tags, configuration and rows, and cannot end a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hydratron.config.load import from_dict
from hydratron.config.schema import Config
from hydratron.job import JobFolder
from hydratron.launch.environment import inherited
from hydratron.reporting.metrics import METRICS
from hydratron.training import wandb_run
from hydratron.training.beside import StartedBeside
from hydratron.training.metrics import MetricsWriter


def config(tmp_path: Path, **logger: Any) -> Config:
    return from_dict({"logger": {"save_dir": str(tmp_path / "out"), **logger}, "seed": 7})


@pytest.mark.filterwarnings("ignore")
def test_an_offline_run_carries_group_type_tags_config_and_rows(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "out" / "sweep" / "000_job")
    job.path.mkdir(parents=True)
    beside = wandb_run.wandb_beside(config(tmp_path, tags=["mine"]), job)
    writer = MetricsWriter(job.metrics, [beside])
    writer.write({"step": 1, "tokens": 10, "train/loss": 3.5})  # while it starts
    logger = beside.started()
    assert logger is not None
    run: Any = logger.experiment  # type: ignore[attr-defined]
    assert (run.name, run.group, run.job_type) == ("000_job", "sweep", "gpt_nano-single-pre")
    assert set(run.tags) == {"gpt_nano", "single", "mine"}
    assert run.config["model"]["hidden_size"] == 192
    assert run.config["seed"] == 7
    assert not {"cluster", "plan"} & {*run.config.keys()}
    assert run.summary["train/loss"] == 3.5
    writer.write({"step": 3, "tokens": 30, "train/loss": 2.5})
    assert run.summary["train/loss"] == 2.5
    assert run.summary["tokens"] == 30
    wandb_run.finish(beside, failed=False)
    assert list((tmp_path / "out" / "wandb").glob("offline-run-*/*.wandb"))
    assert json.loads(job.metrics.read_text().splitlines()[-1])["train/loss"] == 2.5


@pytest.mark.filterwarnings("ignore")
def test_a_job_that_goes_on_is_the_run_that_it_was(tmp_path: Path) -> None:
    jobs = [JobFolder(tmp_path / "out" / "sweep" / name) for name in ("000_job", "001_job")]
    told = []
    for job in (jobs[0], jobs[0], jobs[1]):
        job.path.mkdir(parents=True, exist_ok=True)
        beside = wandb_run.wandb_beside(config(tmp_path), job)
        logger = beside.started()
        found = wandb_run.wandb_of(config(tmp_path), job)
        assert found is not None
        assert logger is not None
        assert found["id"] == logger.experiment.id  # type: ignore[attr-defined]
        assert found["url"] is None
        assert (job.path / found["files"] / f"run-{found['id']}.wandb").is_file()
        wandb_run.finish(beside, failed=False)
        told.append(found["id"])
    assert told[0] == told[1] != told[2]
    assert wandb_run.wandb_of(config(tmp_path, kind="none"), jobs[0]) is None


@pytest.mark.filterwarnings("ignore")
def test_the_offline_file_holds_what_a_workspace_asks_for(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "out" / "sweep" / "000_job")
    job.path.mkdir(parents=True)
    beside = wandb_run.wandb_beside(config(tmp_path), job)
    row: dict[str, Any] = dict.fromkeys([metric.name for metric in METRICS], 1)
    MetricsWriter(job.metrics, [beside]).write(row)
    wandb_run.finish(beside, failed=True)

    records = offline_records(tmp_path / "out")
    run = next(record["run"] for record in records if record["type"] == "run")
    assert (run["run_group"], run["job_type"]) == ("sweep", "gpt_nano-single-pre")
    settings = run["config"]["update"]
    assert settings["model"]["name"] == "gpt_nano"
    assert settings["parallel"]["tensor_model_parallel_size"] == 1
    assert settings["seed"] == 7
    (history,) = [r["history"]["item"] for r in records if r["type"] == "history"]
    assert row.items() <= history.items()
    # Lightning defines its own step first; W&B takes the last definition of `*`.
    axes = [r["metric"] for r in records if r["type"] == "metric"]
    assert [a["step_metric"] for a in axes if a.get("glob_name") == "*"][-1] == "tokens"
    (end,) = [r["exit"] for r in records if r["type"] == "exit"]
    assert end["exit_code"] == 1


def offline_records(folder: Path) -> list[dict[str, Any]]:
    """What `wandb leet`, and so `wandb sync`, finds in the only offline run of the folder."""
    (file,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in said.splitlines()]


IMPORTS = """
import importlib, sys
from pathlib import Path
from hydratron.config.load import from_dict
from hydratron.job import JobFolder
from hydratron.launch.forkserver import WANDB
from hydratron.training.wandb_run import finish, wandb_beside

for name in ("lightning.pytorch.loggers", *WANDB):
    importlib.import_module(name)
before = {*sys.modules}
folder = Path(sys.argv[1])
beside = wandb_beside(from_dict({"logger": {"save_dir": str(folder)}}), JobFolder(folder))
finish(beside, failed=False)
assert (folder / "wandb.json").is_file()
slow = ("wandb.sdk", "wandb.apis", "opentelemetry", "requests", "pydantic")
print(sorted(name for name in {*sys.modules} - before if name.startswith(slow)))
"""


def test_an_offline_run_imports_no_more_than_was_preloaded_and_asks_nobody(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORTS, str(tmp_path)]
    environment = inherited(os.environ)
    said = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert said.splitlines()[-1] == "[]"


@pytest.mark.fault(39)
def test_online_without_an_answer_goes_on_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def start(config: Config, folder: JobFolder, offline: bool) -> str:
        started.append(offline)
        if not offline:
            raise ConnectionError("no answer")
        return "logger"

    monkeypatch.setattr(wandb_run, "_start", start)
    with pytest.warns(UserWarning, match="W&B online did not start: no answer"):
        logger = wandb_run.wandb_logger(config(tmp_path, mode="online"), JobFolder(tmp_path))
    assert logger == "logger"
    assert started == [False, True]


def test_without_wandb_there_is_one_warning_and_no_logger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(config: Config, folder: JobFolder, offline: bool) -> str:
        raise ImportError("no module named wandb")

    monkeypatch.setattr(wandb_run, "_start", start)
    with pytest.warns(UserWarning, match="W&B offline did not start") as caught:
        assert wandb_run.wandb_logger(config(tmp_path), JobFolder(tmp_path)) is None
    assert len(caught) == 1


def test_training_does_not_wait_for_a_logger_that_starts() -> None:
    go, rows = threading.Event(), []

    class Slow:
        def log_metrics(self, row: dict[str, Any], step: int) -> None:
            rows.append(step)

    def start() -> Any:
        go.wait(30)
        return Slow()

    beside = StartedBeside(start)
    for step in (1, 2):
        beside.log_metrics({}, step)
    assert not rows
    go.set()
    assert beside.started() is not None
    beside.log_metrics({}, 3)
    assert rows == [1, 2, 3]
    nothing = StartedBeside(lambda: None)
    nothing.log_metrics({}, 1)
    assert nothing.started() is None


@pytest.mark.fault(39)
def test_a_logger_that_breaks_is_dropped_and_the_rows_go_on(tmp_path: Path) -> None:
    class Broken:
        def log_metrics(self, row: dict[str, Any], step: int) -> None:
            raise OSError("disk full")

    writer = MetricsWriter(tmp_path / "metrics.jsonl", [Broken()])
    with pytest.warns(UserWarning, match="Broken stopped: disk full"):
        writer.write({"step": 1})
    writer.write({"step": 2})  # a second warning would be an error
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
