from __future__ import annotations

import functools
from pathlib import Path

import pytest

from hydratron.config.load import dump
from hydratron.config.plan import plan
from hydratron.config.planning import plan_overrides
from hydratron.errors import JobError
from hydratron.job import JobFolder, write_json
from hydratron.reproduce.catalog import Artifact, Profile, Stage
from hydratron.reproduce.stages import (
    PlannedStage,
    lacking,
    plan_stages,
    run_stages,
    sweep_lines,
    unfinished,
)

STEPS = ("trainer.max_steps=4", "seed=1,2")
STAGE = Stage("sizes", STEPS, (("model=gpt_pico",), ("model=gpt_nano",)), minutes=10)
FOLDER = Path("outputs/reproduce/fig/small/sizes")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(stage: Stage = STAGE) -> list[PlannedStage]:
    return plan_stages(artifact(), Profile("small", "", (stage,)))


def artifact() -> Artifact:
    return Artifact(Path("fig"), "", ("val/loss",), ())


def finish(index: int, status: str) -> None:
    """Write the outcome of one of gpt_pico's two jobs."""
    job = plan([*STAGE.sweeps[0], *STEPS, f"hydra.sweep.dir={FOLDER}"], True).jobs[index]
    folder = JobFolder(FOLDER / job.name)
    folder.path.mkdir(parents=True)
    dump(job.config, folder.config)
    provenance: dict[str, object] = {"overrides": [], "versions": {}}
    write_json(folder.provenance, provenance)
    write_json(folder.result, {"status": status})


def test_each_entry_is_a_sweep_in_the_stages_folder() -> None:
    assert sweep_lines(artifact(), Profile("small", "", ()), STAGE) == [
        ("model=gpt_pico", *STEPS, f"hydra.sweep.dir={FOLDER}"),
        ("model=gpt_nano", *STEPS, f"hydra.sweep.dir={FOLDER}"),
    ]
    alone = sweep_lines(artifact(), Profile("small", "", ()), Stage("sizes", STEPS))
    assert alone == [(*STEPS, f"hydra.sweep.dir={FOLDER}")]


def test_the_pilot_gives_each_size_its_rate() -> None:
    Path("fig").mkdir()
    rows = "gpt_pico,4e-3,7,4.1\ngpt_pico,2e-3,7,4.2\ngpt_nano,1.5e-3,7,4\n"
    Path("fig/pilot.csv").write_text(f"model,optim.lr,seed,val/loss\n{rows}")
    stage = Stage("sizes", ("seed=1,2",), pilot=("gpt_pico", "gpt_nano"))
    first, second = sweep_lines(artifact(), Profile("small", "", ()), stage)
    assert first[:3] == ("model=gpt_pico", "optim.lr=0.004", "schedule.min_lr=0.0004")
    assert second[:3] == ("model=gpt_nano", "optim.lr=0.0015", "schedule.min_lr=0.00015")


def test_jobs_and_minutes_before_anything_runs() -> None:
    (stage,) = planned()
    assert [job.name for job in stage.jobs] == [
        "000_gpt_pico-single-pre-s1",
        "001_gpt_pico-single-pre-s2",
        "000_gpt_nano-single-pre-s1",
        "001_gpt_nano-single-pre-s2",
    ]
    assert stage.minutes == pytest.approx(10)
    assert planned(Stage("sizes", STEPS))[0].minutes is None
    assert not Path("outputs").exists()


def test_finished_jobs_take_no_more_time() -> None:
    finish(0, "completed")
    finish(1, "diverged")
    (stage,) = planned()
    work = [sweep.work for sweep in stage.sweeps]
    assert [sweep.left for sweep in stage.sweeps] == [0, work[1]]
    assert stage.minutes == pytest.approx(10 * work[1] / sum(work))


def test_another_job_in_the_folder_is_refused() -> None:
    finish(0, "completed")
    with pytest.raises(JobError, match=r"holds another job \(trainer.max_steps: 4 -> 5"):
        planned(Stage("sizes", ("trainer.max_steps=5", "seed=1,2"), STAGE.sweeps))


def test_a_diverged_job_has_an_outcome_and_a_failed_one_has_none() -> None:
    finish(0, "diverged")
    finish(1, "failed")
    stages = planned()
    assert unfinished(stages) == [
        f"job {FOLDER}/001_gpt_pico-single-pre-s2 failed",
        f"job {FOLDER}/000_gpt_nano-single-pre-s1 unfinished",
        f"job {FOLDER}/001_gpt_nano-single-pre-s2 unfinished",
    ]


def test_failed_jobs_do_not_stop_the_next_sweep_but_an_interrupt_does() -> None:
    for codes, result, calls in (([1, 0], 0, 2), ([130, 0], 130, 1)):
        asked: list[list[str]] = []

        def train(argv: list[str], asked: list[list[str]] = asked, codes: list[int] = codes) -> int:
            asked.append(argv)
            return codes[len(asked) - 1]

        assert run_stages(planned(), {"train": train}, lambda code: code > 128) == result
        assert len(asked) == calls
        assert asked[0] == ["-m", "model=gpt_pico", *STEPS, f"hydra.sweep.dir={FOLDER}"]


def test_a_stage_of_plans_has_the_planners_defaults_and_its_command() -> None:
    stage = Stage("sizes", ("seed=1,2", "full=true"), STAGE.sweeps, minutes=8, verb="plan")
    (found,) = planned(stage)
    first = found.sweeps[0]
    lines = ("model=gpt_pico", "seed=1,2", "full=true", f"hydra.sweep.dir={FOLDER}")
    assert first.overrides == lines
    assert first.command() == f"hydratron plan -m {' '.join(lines)}"
    assert [job.name for job in first.jobs] == [
        "000_gpt_pico-single-pre-s1",
        "001_gpt_pico-single-pre-s2",
    ]
    finish_plan(first.jobs[0], [*lines[:1], "seed=1", "full=true"])
    (found,) = planned(stage)
    assert [(sweep.work, sweep.left) for sweep in found.sweeps] == [(2, 1), (2, 2)]
    assert found.minutes == pytest.approx(6)
    with pytest.raises(JobError, match="holds a job of hydratron plan"):
        planned(Stage("sizes", plan_training(lines[:-1])))


def finish_plan(path: Path, overrides: list[str]) -> None:
    """Write the outcome of a plan."""
    (job,) = plan(plan_overrides(overrides)).jobs
    folder = JobFolder(path)
    folder.path.mkdir(parents=True)
    dump(job.config, folder.config)
    write_json(folder.provenance, {"verb": "plan", "overrides": [], "versions": {}})
    write_json(folder.result, {"status": "completed"})


def plan_training(lines: tuple[str, ...]) -> tuple[str, ...]:
    """A training of the same configuration as that plan."""
    return tuple(plan_overrides(lines))


def test_each_sweep_goes_to_its_verb() -> None:
    asked: list[str] = []

    def call(verb: str, argv: list[str]) -> int:
        chosen = [word for word in argv if "launcher" in word]
        asked.append(" ".join([verb, argv[1], *chosen]))
        return 0

    verbs = {verb: functools.partial(call, verb) for verb in ("train", "plan")}
    stages = [
        *planned(Stage("sizes", STEPS, verb="plan")),
        *planned(Stage("rates", ("model=gpt_nano",))),
    ]
    assert run_stages(stages, verbs, lambda code: code > 0, ["hydra/launcher=joblib"]) == 0
    # A plan is no job of a launcher.
    assert asked == ["plan trainer.max_steps=4", "train model=gpt_nano hydra/launcher=joblib"]


def test_what_a_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "hydratron.reproduce.stages.hardware"
    monkeypatch.setattr(module, lambda: {"gpus": ["a GPU"]})
    here = Profile("gpu", "", (), gpus=1, paths=("corpus",))
    assert lacking(here) == ["corpus (not there)"]
    Path("corpus").mkdir()
    assert lacking(here) == []
    monkeypatch.setattr(module, lambda: {"gpus": []})
    assert lacking(here) == ["1 GPU (here: 0)"]
    assert lacking(Profile("small", "", ())) == []
