"""`hydratron train` from the command line to the report, with jobs that only pretend to train."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hydratron.cli import main
from hydratron.config.command import Command
from hydratron.config.load import dump
from hydratron.config.schema import Config
from hydratron.errors import DataError, Problem
from hydratron.job import JobFolder, write_json
from hydratron.launch.progress import Position

FAILING_SEED = 2
GOES_ON = "the same command with {} goes on where it stopped"
ROW = {"step": 3, "tokens": 384, "seconds": 1.0, "train/loss": 5.5, "val/loss": 5.6}


class FakeJobs:
    """Stands for launch.run.run_job: writes a job folder; one seed can fail or interrupt."""

    def __init__(self) -> None:
        self.positions: list[Position] = []
        self.configs: list[Config] = []
        self.folders: list[Path] = []
        self.interrupt: BaseException | None = None
        self.preempted: dict[int, str] = {}  # seed -> signal

    def __call__(
        self, config: Config, folder: Path, overrides: Sequence[str], position: Position, **_: Any
    ) -> dict[str, Any]:
        self.positions.append(position)
        self.configs.append(config)
        self.folders.append(folder)
        if self.interrupt is not None:
            raise self.interrupt
        job = JobFolder(folder)
        dump(config, job.config)
        write_json(job.provenance, {"overrides": [], "versions": {}})
        job.overrides.write_text(json.dumps(list(overrides)))
        job.metrics.write_text(json.dumps(ROW) + "\n")
        result: dict[str, Any] = {"status": "completed", "parameters": 10, **ROW}
        if config.seed == FAILING_SEED:
            failure = {"rank": 1, "kind": "RuntimeError", "message": "lost\nit", "step": 3}
            write_json(job.failure, failure | {"traceback": "..."})
            result["status"] = "failed"
        if config.seed in self.preempted:
            result |= {"status": "preempted", "signal": self.preempted[config.seed]}
        write_json(job.result, result)
        return result


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def jobs(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    """No real data and no rank processes: preparing and running jobs are replaced."""
    fake = FakeJobs()
    monkeypatch.setattr("hydratron.launch.run.run_job", fake)
    monkeypatch.setattr("hydratron.data.prepare.prepare", lambda *a, **k: elsewhere / "prepared")
    monkeypatch.setattr("hydratron.data.corpus.open_corpus", lambda path: None)
    monkeypatch.setattr("hydratron.data.requirements.problems", lambda corpus, config: [])
    for order in ("training_samples", "validation_samples"):
        monkeypatch.setattr(f"hydratron.data.samples.assemble.{order}", lambda *a: None)
    return fake


def test_a_sweep_runs_reports_and_succeeds(
    jobs: FakeJobs, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "model=gpt_pico,gpt_nano", "-m", "seed=1,3", "hydra.sweep.dir=out"]
    assert main(argv) == 0
    assert [config.model.name for config in jobs.configs] == ["gpt_pico"] * 2 + ["gpt_nano"] * 2
    assert {config.data.prepared for config in jobs.configs} == {str(elsewhere / "prepared")}
    assert [position.index for position in jobs.positions] == [1, 2, 3, 4]
    assert {position.total for position in jobs.positions} == {4}
    assert jobs.positions[0].work[0] < jobs.positions[0].work[2]
    made = {path.name for path in (elsewhere / "out").iterdir()}
    assert {"dashboard.html", "summary.csv", "000_gpt_pico-single-pre-s1"} < made
    said = capsys.readouterr()
    assert said.err == ""
    assert "out/dashboard.html" in said.out


def test_a_failed_job_is_named_at_the_end(
    jobs: FakeJobs, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "-m", "seed=1,2,3", "hydra.sweep.dir=out"]) == 1
    assert len(jobs.configs) == 3
    job = "001_gpt_nano-single-pre-s2"
    assert capsys.readouterr().err.splitlines() == [
        f"hydratron: job {job} failed: rank 1: RuntimeError: lost it "
        f"(traceback in out/{job}/failure.json)"
    ]
    assert (elsewhere / "out" / "dashboard.html").exists()


def test_a_single_run_is_a_sweep_of_one(jobs: FakeJobs, elsewhere: Path) -> None:
    assert main(["train", "model=gpt_pico"]) == 0
    [sweep] = (elsewhere / "outputs").iterdir()
    made = sorted(path.name for path in sweep.iterdir())
    report = ["curves.csv", "dashboard.html", "summary.csv"]
    assert made == ["000_gpt_pico-single-pre-s1234", *report]
    job = sweep / made[0]
    written = {"config.yaml", "overrides.yaml", "provenance.json", "metrics.jsonl", "result.json"}
    assert {path.name for path in job.iterdir()} == written


def test_a_named_job_folder_is_honoured(jobs: FakeJobs, elsewhere: Path) -> None:
    assert main(["train", "hydra.run.dir=runs/mine"]) == 0
    made = {path.name for path in (elsewhere / "runs" / "mine").iterdir()}
    assert {"config.yaml", "result.json", "dashboard.html", "summary.csv"} <= made
    assert [path.name for path in (elsewhere / "runs").iterdir()] == ["mine"]


def test_two_commands_in_one_second_get_two_folders(
    jobs: FakeJobs, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hydratron.config import plan as module

    real = module.plan

    def same_second(overrides: Sequence[str], multirun: bool = False) -> Command:
        return dataclasses.replace(real(overrides, multirun), folder=Path("outputs/now"))

    monkeypatch.setattr(module, "plan", same_second)
    assert main(["train"]) == 0
    assert main(["train"]) == 0
    assert sorted(path.name for path in (elsewhere / "outputs").iterdir()) == ["now", "now_2"]


def test_finished_jobs_are_known_by_what_they_are(
    jobs: FakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "-m", "seed=1,3", "hydra.sweep.dir=out"]) == 0
    assert main(["train", "-m", "seed=4,3,1", "hydra.sweep.dir=out"]) == 0
    assert [weight > 0 for weight in jobs.positions[-1].work] == [True, False, False]
    names = {path.parent.name for path in Path("out").glob("*/config.yaml")}
    assert names == {
        f"{n}_gpt_nano-single-pre-s{s}" for n, s in (("000", 1), ("001", 3), ("000", 4))
    }
    assert sorted(job.name for job in jobs.folders[2:]) == sorted(names)


def test_the_same_command_with_other_defaults_is_refused(
    jobs: FakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "-m", "seed=1,3", "hydra.sweep.dir=out"]
    assert main(argv) == 0
    for path in Path("out").glob("*/config.yaml"):
        path.write_text(path.read_text().replace("lr: 0.001", "lr: 0.002"))
    capsys.readouterr()
    assert main(argv) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "holds another job (optim.lr: 0.002 -> 0.001)" in said[0]
    assert len(jobs.configs) == 2


@pytest.mark.parametrize(("ending", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_an_interrupt_ends_the_sweep(
    ending: BaseException, code: int, jobs: FakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.interrupt = ending
    argv = ["train", "-m", "seed=1,3"]
    assert main(argv) == code
    assert len(jobs.configs) == 1
    said = capsys.readouterr()
    assert said.out == ""
    place = GOES_ON.format(r"(hydra\.sweep\.dir=outputs/\S+)")
    found = re.fullmatch(f"hydratron: interrupted; {place}\n", said.err)
    assert found
    jobs.interrupt = None
    assert main([*argv, found[1]]) == 0
    assert len(jobs.configs) == 3
    assert len(list(Path("outputs").iterdir())) == 1


def test_the_command_that_goes_on_is_one_for_a_shell(
    jobs: FakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.interrupt = KeyboardInterrupt()
    assert main(["train", r"hydra.run.dir='it\'s a=b, c'"]) == 130
    said = capsys.readouterr().err
    found = re.fullmatch(f"hydratron: interrupted; {GOES_ON.format('(.*)')}\n", said)
    assert found
    jobs.interrupt = None
    assert main(["train", *shlex.split(found[1])]) == 0
    assert [path.name for path in Path().iterdir()] == ["it's a=b, c"]


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_preempted_job_lets_the_sweep_go_on_and_says_how_it_does(
    number: str, code: int, jobs: FakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.preempted[1] = number
    assert main(["train", "-m", "seed=1,2,3", "hydra.sweep.dir=out"]) == code
    assert len(jobs.configs) == 3
    said = capsys.readouterr().err.splitlines()
    assert "hydratron: job 000_gpt_nano-single-pre-s1 preempted" in said
    assert said[-1] == f"hydratron: preempted; {GOES_ON.format('hydra.sweep.dir=out')}"


def test_a_later_host_ends_as_the_first_and_writes_no_report(
    jobs: FakeJobs, elsewhere: Path
) -> None:
    hosts = ["launch=torchrun", "launch.nodes=2", "launch.rendezvous=first:29500", "parallel=tp2"]
    later = ["train", *hosts, "launch.node_rank=1"]
    assert main([*later, "hydra.run.dir=good"]) == 0
    assert main([*later, f"seed={FAILING_SEED}", "hydra.run.dir=bad"]) == 1
    assert list(elsewhere.glob("*/dashboard.html")) == []


def test_unusable_data_stops_before_anything_exists(
    jobs: FakeJobs,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*arguments: object, **options: object) -> Path:
        raise DataError([Problem("data.path", "x", "no text in it")])

    monkeypatch.setattr("hydratron.data.prepare.prepare", refuse)
    assert main(["train", "hydra.run.dir=out"]) == 2
    assert capsys.readouterr().err == "hydratron: data.path=x: no text in it\n"
    too_few = Problem("trainer.val_samples", 64, "the validation split has 3")
    monkeypatch.setattr("hydratron.data.prepare.prepare", lambda *a, **k: elsewhere)
    monkeypatch.setattr("hydratron.data.requirements.problems", lambda corpus, config: [too_few])
    assert main(["train", "-m", "seed=1,2", "hydra.sweep.dir=out"]) == 2
    assert capsys.readouterr().err == f"hydratron: {too_few}\n"
    assert list(elsewhere.iterdir()) == []


def test_data_is_prepared_once_for_each_tokenizer(
    jobs: FakeJobs,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[int] = []

    def prepare(data: object, tokenizer: Any, sentences: bool, progress: bool, tell: Any) -> Path:
        asked.append(tokenizer.vocab_size)
        tell("left out: 1 link to what is read already")
        return elsewhere / str(tokenizer.vocab_size)

    monkeypatch.setattr("hydratron.data.prepare.prepare", prepare)
    argv = ["train", "-m", "seed=1,3", "tokenizer.vocab_size=512,1024", "hydra.sweep.dir=out"]
    assert main(argv) == 0
    assert asked == [512, 1024]
    assert capsys.readouterr().err.count("left out: 1 link") == 1
    folders = [config.data.prepared for config in jobs.configs]
    assert folders == [str(elsewhere / name) for name in ("512", "1024", "512", "1024")]


def test_cfg_prints_every_job_and_runs_nothing(
    jobs: FakeJobs, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--cfg", "job", "-m", "seed=1,2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("--- # 000_gpt_nano-single-pre-s1\nmodel:\n  name: gpt_nano\n")
    assert "\nseed: 2\n" in out
    assert main(["train", "--cfg", "hydra", "seed=7"]) == 0
    assert "- seed=7" in capsys.readouterr().out
    assert jobs.configs == []
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "folder"),
    [(["hydra.sweep.dir='a=b, c'", "-m", "seed=1,3"], "a=b, c"), (["hydra.run.dir=mine"], "mine")],
)
def test_report_of_a_sweep_and_of_one_job(
    asked: list[str], folder: str, jobs: FakeJobs, elsewhere: Path, capsys: Any
) -> None:
    assert main(["train", *asked]) == 0
    (elsewhere / folder / "dashboard.html").unlink()
    capsys.readouterr()
    assert main(["report", folder]) == 0
    assert (elsewhere / folder / "dashboard.html").exists()
    assert f"{folder}/summary.csv" in capsys.readouterr().out
