"""`hydratron reproduce` from the command line: one real smoke run, and what ends it otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from hydratron.cli import main
from hydratron.config.folders import conf_dir
from hydratron.config.load import dump
from hydratron.config.plan import plan
from hydratron.job import JobFolder, write_json
from tests.unit.reproduce.small_artifact import write_artifact

CHECKOUT = conf_dir().parent / "experiments"
SMOKE = ["reproduce", "tp_equivalence", "--profile", "smoke"]


class FakeTrain:
    """Stands for train.run: leaves job folders with these statuses and losses, in turn."""

    def __init__(self, *outcomes: tuple[str, float], code: int = 0) -> None:
        self.outcomes, self.code, self.calls = outcomes, code, 0

    def __call__(self, argv: Sequence[str]) -> int:
        self.calls += 1
        planned = plan(argv[1:], multirun=True)
        folders = planned.job_folders(planned.folder)
        for job, path, (status, loss) in zip(planned.jobs, folders, self.outcomes, strict=True):
            folder = JobFolder(path)
            folder.path.mkdir(parents=True, exist_ok=True)
            dump(job.config, folder.config)
            folder.metrics.write_text(json.dumps({"step": 1, "tokens": 9, "val/loss": loss}) + "\n")
            write_json(folder.result, {"status": status, "parameters": 5, "val/loss": loss})
        return self.code


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_artifact(tmp_path / "experiments").folder


def fake(
    monkeypatch: pytest.MonkeyPatch, *outcomes: tuple[str, float], **options: Any
) -> FakeTrain:
    train = FakeTrain(*outcomes, **options)
    monkeypatch.setattr("hydratron.cli.train.run", train)
    return train


def test_a_real_smoke_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiments = tmp_path / "experiments"
    ignored = shutil.ignore_patterns("results")
    shutil.copytree(CHECKOUT, experiments, ignore=ignored)
    monkeypatch.chdir(tmp_path)
    assert main(SMOKE) == 0
    said = capsys.readouterr()
    assert said.out.startswith("tp_equivalence, smoke: 4 jobs, about 1 min\n")
    assert "SMOKE: nothing judged (direction): tensor parallelism trains the same model" in said.out
    results = experiments / "tp_equivalence" / "results" / "smoke"
    found = json.loads((results / "verdict.json").read_text())
    assert [verdict["n"] for verdict in found["verdicts"]] == [20, 10]
    assert {verdict["status"] for verdict in found["verdicts"]} == {"SMOKE: nothing judged"}
    assert max(verdict["effect"] for verdict in found["verdicts"]) < 1e-5
    recorded = json.loads((results / "provenance.json").read_text())
    assert [job["status"] for job in recorded["jobs"]] == ["completed"] * 4
    assert str(tmp_path) not in "".join(path.read_text() for path in results.iterdir())
    assert "| NOT RUN |" in (experiments / "README.md").read_text()

    before = {path.name: path.read_bytes() for path in results.iterdir()}
    assert main([*SMOKE, "--analyze-only"]) == 0
    assert {path.name: path.read_bytes() for path in results.iterdir()} == before

    for name in before.keys() - {"curves.csv", "provenance.json"}:
        (results / name).unlink()
    capsys.readouterr()
    assert main(["report", str(results)]) == 0
    assert {path.name: path.read_bytes() for path in results.iterdir()} == before
    said = capsys.readouterr()
    assert said.out.endswith(f"{results / 'figure.svg'}\n{results / 'figure.html'}\n")
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(results), "outputs"])
    assert "results are reported by themselves" in capsys.readouterr().err

    assert main(SMOKE) == 0
    said = capsys.readouterr()
    assert said.out.startswith("tp_equivalence, smoke: 0 of 4 jobs left, about 0 min\n")
    assert said.err.count("completed before, skipped") == 4


@pytest.mark.parametrize(
    ("losses", "status"),
    [((4.0, 4.1, 4.2), "REPRODUCED"), ((6.0, 6.1, 6.2), "NOT REPRODUCED")],
)
def test_a_verdict_of_either_kind_is_a_success(
    losses: tuple[float, ...],
    status: str,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake(monkeypatch, *(("completed", loss) for loss in losses))
    assert main(["reproduce", "fig1", "--profile", "small"]) == 0
    assert f"\n{status} (direction): the loss | is low: " in capsys.readouterr().out
    assert f"| **{status}** |" in (checkout.parent / "README.md").read_text()


def test_a_stage_that_starts_from_jobs_runs_once_they_have(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = checkout / "profiles.yaml"
    content = yaml.safe_load(file.read_text())
    stage = {"name": "b", "of": "a", "overrides": ["model=gpt_pico", "seed=1{seed}"]}
    content["profiles"]["small"]["stages"].append(stage)
    file.write_text(yaml.safe_dump(content))
    calls: list[list[str]] = []

    def train(argv: Sequence[str]) -> int:
        calls.append([line for line in argv if line.startswith("seed=")])
        code = FakeTrain(*[("completed", 4.0)] * (3 if len(calls) == 1 else 1))(argv)
        for job in Path("outputs/reproduce/fig1_thing/small/a").iterdir():
            checkpoint = job / "checkpoints" / "step_00000001"
            checkpoint.mkdir(parents=True, exist_ok=True)
            (checkpoint / "manifest.json").touch()
            write_json(JobFolder(job).provenance, {"overrides": [], "versions": {}})
        return code

    monkeypatch.setattr("hydratron.cli.train.run", train)
    assert main(["reproduce", "fig1", "--profile", "small"]) == 0
    assert calls == [["seed=1,2,3"], ["seed=11"], ["seed=12"], ["seed=13"]]
    said = capsys.readouterr().out
    assert said.startswith("fig1_thing, small: 3 jobs, and those that start from them, time not")
    assert "\nfig1_thing, small: 3 jobs, time not measured\n" in said


def test_a_diverged_run_is_an_outcome(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, ("completed", 4.0), ("diverged", 9.0), ("completed", 4.2), code=1)
    assert main(["reproduce", "fig1", "--profile", "small"]) == 0
    assert ",diverged," in (checkout / "results" / "small" / "curves.csv").read_text()


def test_a_failed_run_leaves_no_results(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(monkeypatch, ("completed", 4.0), ("failed", 4.1), ("completed", 4.2), code=1)
    assert main(["reproduce", "fig1", "--profile", "small"]) == 1
    folder = "outputs/reproduce/fig1_thing/small/a/001_gpt_pico-single-pre-s2"
    assert capsys.readouterr().err.splitlines() == [
        f"hydratron: job {folder} failed",
        "hydratron: no results: not every job has run",
    ]
    assert not (checkout / "results").exists()


@pytest.mark.parametrize("code", [2, 130])
def test_a_refused_or_interrupted_sweep_ends_it(
    code: int, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = fake(monkeypatch, *[("completed", 4.0)] * 3, code=code)
    assert main(["reproduce", "fig1", "--profile", "small"]) == code
    assert train.calls == 1
    assert not (checkout / "results").exists()


def test_a_profile_that_cannot_run_here_says_what_it_would_run(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = fake(monkeypatch)
    monkeypatch.setattr("hydratron.reproduce.stages.hardware", lambda: {"gpus": []})
    assert main(["reproduce", "fig1", "--profile", "gpu"]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "fig1_thing, gpu: 3 jobs, time not measured",
        "hydratron train -m model=gpt_pico seed=1,2,3 "
        "hydra.sweep.dir=outputs/reproduce/fig1_thing/gpu/a",
    ]
    assert said.err == "hydratron: profile gpu cannot run here, it needs 1000 GPUs (here: 0)\n"
    assert train.calls == 0


def test_the_list_of_artifacts(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "fig1_thing: A <title>",
        "  smoke  3 jobs, time not measured; nothing",
        "  small  3 jobs, time not measured; a little",
        "  gpu    3 jobs, time not measured; more",
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "hydratron: NAME and --profile are needed, or --list"),
        (["fig1"], "hydratron: NAME and --profile are needed, or --list"),
        (["fig2", "--profile", "small"], "hydratron: fig2: no such artifact"),
        (["fig1", "--profile", "huge"], "hydratron: --profile huge: fig1_thing has no such"),
        (["fig1", "--profile", "small", "--analyze-only"], "hydratron: experiments/fig1_thing/res"),
    ],
)
def test_a_wrong_command_is_one_line(
    argv: list[str], message: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["reproduce", *argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)
