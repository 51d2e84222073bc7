"""Hydra runs jobs: each gets its own configuration and folder, and none stops the others."""

from __future__ import annotations

import json
import math
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from hydratron.config.plan import plan
from hydratron.config.schema import Config
from hydratron.config.task import Task, run, run_planned, show

FAILING_SEED = 2


class Recorder:
    """A runner that keeps what it was given; the job with one seed ends as told."""

    def __init__(self, failure: BaseException | None = None, loss: object = 1.5) -> None:
        self.calls: list[tuple[Config, Path, list[str], int]] = []
        self.failure = failure
        self.loss = loss

    def __call__(
        self, config: Config, folder: Path, overrides: list[str], number: int
    ) -> dict[str, Any]:
        self.calls.append((config, folder, overrides, number))
        if self.failure is not None and config.seed == FAILING_SEED:
            raise self.failure
        return {"status": "completed", "val/loss": self.loss}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _sweep(recorder: Recorder, *overrides: str) -> int:
    return run_planned(recorder, plan(overrides, multirun=True), overrides, Path("out"))


def test_hydra_runs_what_was_planned(tmp_path: Path) -> None:
    overrides = ["model=gpt_pico", "seed=1,2", "optim.lr=2e-3"]
    recorder = Recorder()
    assert _sweep(recorder, *overrides) == 0
    planned = plan(overrides, multirun=True).jobs
    assert [call[0] for call in recorder.calls] == [job.config for job in planned]
    assert [call[1] for call in recorder.calls] == [tmp_path / "out" / job.name for job in planned]
    assert [call[2] for call in recorder.calls] == [job.overrides for job in planned]
    assert [call[3] for call in recorder.calls] == [0, 1]


@pytest.mark.parametrize(
    "overrides",
    [
        ("seed=shuffle(range(1,9))", "model=glob([gpt_n*,gpt_p*])"),
        ("experiment=demo", "optim.lr=choice(1e-3,2e-3)", "++seed=sort(3,1,reverse=true)"),
        ("parallel=tp2,single", "logger.project='a=b, c',d", "hydra.sweeper.max_batch_size=3"),
        ("seed=tag(mine,range(2,8,3))", "hydra.sweep.subdir='${hydra:job.num} ${model.name}'"),
    ],
)
def test_the_list_that_was_planned_is_the_list_that_runs(
    overrides: tuple[str, ...], tmp_path: Path
) -> None:
    planned, recorder = plan(overrides, multirun=True), Recorder()
    assert run_planned(recorder, planned, overrides, Path("out")) == 0
    assert [call[0] for call in recorder.calls] == [job.config for job in planned.jobs]
    assert [call[1] for call in recorder.calls] == planned.job_folders(tmp_path / "out")
    assert [call[3] for call in recorder.calls] == [*range(len(planned.jobs))]
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == sorted([*(job.name for job in planned.jobs), "multirun.yaml"])


def test_a_file_that_is_edited_during_a_sweep_changes_no_job_of_it(tmp_path: Path) -> None:
    own = tmp_path / "own" / "model" / "mine.yaml"
    own.parent.mkdir(parents=True)
    text = "name: mine\nnum_layers: 2\nhidden_size: 32\nnum_attention_heads: 2\nseq_length: 16\n"
    own.write_text(text)

    class Editor(Recorder):
        def __call__(
            self, config: Config, folder: Path, overrides: list[str], number: int
        ) -> dict[str, Any]:
            own.write_text(text.replace("num_layers: 2", "num_layers: 3"))
            return super().__call__(config, folder, overrides, number)

    recorder = Editor()
    assert _sweep(recorder, f"hydra.searchpath=[{own.parents[1]}]", "model=mine", "seed=1,2") == 0
    assert [config.model.num_layers for config, *_ in recorder.calls] == [2, 2]


def test_a_job_folder_that_is_named_makes_an_experiment_a_single_job(tmp_path: Path) -> None:
    overrides, recorder = ["experiment=demo", "model=gpt_pico", "hydra.run.dir=mine"], Recorder()
    planned = plan(overrides)
    assert run_planned(recorder, planned, overrides, planned.folder) == 0
    ((config, folder, _, _),) = recorder.calls
    assert (config.variant, config.tokenizer.vocab_size) == ("gpt_pico-single-pre", 1024)
    assert folder == tmp_path / "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_single_run_gets_its_folder(tmp_path: Path) -> None:
    recorder = Recorder()
    assert run_planned(recorder, plan(["seed=3"]), ["seed=3"], Path("out")) == 0
    config, folder, overrides, number = recorder.calls[0]
    assert (config.seed, overrides, number) == (3, ["seed=3"], 0)
    assert folder == tmp_path / "out" / "000_gpt_nano-single-pre-s3"
    assert list(folder.iterdir()) == []


def test_the_demo_runs_as_a_sweep_without_the_flag() -> None:
    recorder, overrides = Recorder(), ["experiment=demo", "model=gpt_pico"]
    assert run_planned(recorder, plan(overrides), overrides, Path("out")) == 0
    variants = [call[0].variant for call in recorder.calls]
    assert variants == ["gpt_pico-single-pre", "gpt_pico-tp2-pre"]


def test_a_failing_job_leaves_the_others_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(failure=ValueError("no such thing"))
    assert _sweep(recorder, "seed=1,2,3") == 0
    assert [call[0].seed for call in recorder.calls] == [1, 2, 3]
    folder = tmp_path / "out" / "001_gpt_nano-single-pre-s2"
    failure = json.loads((folder / "failure.json").read_text())
    assert (failure["kind"], failure["message"]) == ("ValueError", "no such thing")
    assert "Recorder" in failure["traceback"] or "raise self.failure" in failure["traceback"]
    assert json.loads((folder / "result.json").read_text())["status"] == "failed"
    assert capsys.readouterr() == ("", "")


def test_a_failure_leaves_the_folder_of_another_job_alone(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "000_gpt_nano-single-pre-s2"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("theirs")
    _sweep(Recorder(failure=ValueError("x")), "seed=2")
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]


def test_ctrl_c_ends_the_sweep() -> None:
    recorder = Recorder(failure=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        _sweep(recorder, "seed=1,2,3")
    assert len(recorder.calls) == 2
    assert "--multirun" not in sys.argv


def test_sigterm_ends_the_sweep_with_its_code() -> None:
    recorder = Recorder(failure=SystemExit(143))
    assert _sweep(recorder, "seed=1,2,3") == 143
    assert len(recorder.calls) == 2


@pytest.mark.parametrize(
    ("loss", "returned"), [(1.5, 1.5), (2, 2.0), (None, math.inf), (math.nan, math.inf)]
)
def test_sweepers_get_the_validation_loss(
    loss: object, returned: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[float] = []
    task = Task(Recorder(loss=loss))
    run(lambda composed: answers.append(task(composed)), ["hydra.run.dir=out"])
    assert answers == [returned]


def test_what_a_sweeper_chooses_is_validated_again(tmp_path: Path) -> None:
    recorder = Recorder()
    run(
        Task(recorder),
        ["hydra.run.dir=out", "trainer.global_batch_size=9", "trainer.micro_batch_size=8"],
    )
    assert recorder.calls == []
    failure = json.loads((tmp_path / "out" / "failure.json").read_text())
    assert failure["message"].startswith("trainer.global_batch_size=9: not divisible")


def test_launchers_may_pickle_the_task() -> None:
    from hydratron.cli.train import Runner

    task = Task(Runner(started=1.0, work=(1.0,), prepared={}))
    assert pickle.loads(pickle.dumps(task)) == task


def test_show_prints_hydras_own_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(["--cfg", "hydra"], ["seed=3"]) == 0
    assert "- seed=3" in capsys.readouterr().out
