"""`hydratron plan`: its job folder is one like any other, whole or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from hydratron.cli import main
from hydratron.config.load import load
from hydratron.config.plan import jobs
from hydratron.config.planning import plan_overrides
from hydratron.job import JobFolder, read_json, write_json
from hydratron.planner.dry_run import CATEGORIES
from hydratron.planner.time_model import TERMS
from hydratron.reporting.records import Run, read_run, read_runs
from hydratron.reproduce.collect import curves, provenance, read_curves
from tests.unit.reproduce.small_artifact import write_artifact

TINY = (
    *("model=gpt_pico", "model.num_layers=1", "model.hidden_size=32", "model.seq_length=16"),
    *("model.num_attention_heads=4", "plan.vocab_size=60", "trainer.global_batch_size=8"),
    *("trainer.micro_batch_size=2", "cluster.kernel_microseconds=5"),
)
NAMES = ["000_gpt_pico-single-pre-s1234", "001_gpt_pico-tp2-pre-s1234"]
FILES = {
    *(".lock", "config.yaml", "metrics.jsonl", "overrides.yaml", "plan.json"),
    *("provenance.json", "result.json"),
}


def sweep(folder: Path, *more: str) -> list[str]:
    return ["plan", "-m", *TINY, "parallel=single,tp2", *more, f"hydra.sweep.dir={folder}"]


def test_seconds_say_what_their_constants_are_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(single(tmp_path / "job")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "fitted to the V100s of 2019, unproven on this machine; this step reaches" in said
    assert "% of H100 80 GB's peak" in said


def single(folder: Path, *more: str) -> list[str]:
    return ["plan", *TINY, *more, f"hydra.run.dir={folder}"]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two plans.  Nothing may change it."""
    folder = tmp_path_factory.mktemp("plans") / "sweep"
    assert main(sweep(folder)) == 0
    return folder


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on every plan fails."""

    def fail(config: object) -> object:
        raise ValueError("no such operation")

    monkeypatch.setattr("hydratron.planner.plan.plan_job", fail)


def content(path: Path) -> dict[str, Any]:
    found = read_json(path)
    assert found is not None
    return found


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_plan_leaves_a_whole_job_folder(planned: Path) -> None:
    assert sorted(path.name for path in planned.glob("0*")) == NAMES
    for name, parallel in zip(NAMES, ("single", "tp2"), strict=True):
        job = JobFolder(planned / name)
        assert {path.name for path in job.path.iterdir()} == FILES
        asked = yaml.safe_load(job.overrides.read_text())
        assert asked == plan_overrides([*TINY, f"parallel={parallel}"])
        assert load(job.config) == jobs(asked)[0].config
        said = content(job.provenance)
        assert (said["overrides"], said["seed"], said["verb"]) == (asked, 1234, "plan")
        assert said["parent"] is None


def test_the_row_says_what_plan_json_says(planned: Path) -> None:
    for name in NAMES:
        plan, (line,) = (
            content(planned / name / "plan.json"),
            (planned / name / "metrics.jsonl").read_text().splitlines(),
        )
        row = json.loads(line)
        assert [*row][:7] == ["step", "tokens", *(f"plan/{term}" for term in TERMS)]
        assert (row["step"], row["tokens"]) == (0, 0)
        seconds = plan["seconds"]
        assert row["plan/seconds"] == seconds["total"]
        assert row["plan/tensor_share"] == seconds["tensor_share"]
        assert seconds["kernels"] == pytest.approx(5e-6 * row["plan/kernels"])
        assert row["plan/kernels"] > 100
        assert row["plan/flops"] == plan["micro_batches"] * plan["flops"]["total"]
        assert plan["micro_batches"] == 4
        assert row["plan/parameters"] == plan["parameters"]["model"]
        assert content(planned / name / "result.json")["parameters"] == row["plan/parameters"]
        assert row["plan/peak_bytes"] == plan["memory"]["total"]
        peaks = {category: row[f"plan/peak_{category}"] for category in CATEGORIES}
        assert sum(peaks.values()) == row["plan/peak_bytes"]
        assert {kind: held for kind, held in peaks.items() if held} == plan["memory"]["bytes"]
        assert len(row) == 2 + len(TERMS) + 5 + len(CATEGORIES)
    assert plan["parameters"]["rank"] < plan["parameters"]["model"]


def test_the_shares_of_the_cluster_change_the_seconds_and_not_the_terms(
    planned: Path, tmp_path: Path
) -> None:
    assert main(single(tmp_path / "job", "parallel=tp2", "cluster.link_efficiency=0.5")) == 0
    slow, fast = (read_run(path).rows[0] for path in (tmp_path / "job", planned / NAMES[1]))
    assert slow["plan/tensor"] == fast["plan/tensor"] > 0
    more = slow["plan/seconds"] - fast["plan/seconds"]
    assert more == pytest.approx(fast["plan/tensor"])


def test_plans_are_runs_to_whatever_reads_job_folders(planned: Path, tmp_path: Path) -> None:
    runs = read_runs(planned)
    assert [(run.name, run.status, run.parallel) for run in runs] == [
        (NAMES[0], "completed", "single"),
        (NAMES[1], "completed", "tp2"),
    ]
    assert runs[0].settings["plan.vocab_size"] == 60
    columns = ("plan/seconds", "plan/peak_masters")
    frame = curves(runs, columns, ["trainer.micro_batch_size", "plan.numerics", "cluster.gpu"])
    frame.to_csv(tmp_path / "curves.csv", index=False)
    again = read_curves(tmp_path / "curves.csv")
    assert list(again["parallel"]) == ["single", "tp2"]
    assert list(again["plan.numerics"]) == ["ours", "ours"]
    assert list(again["cluster.gpu"]) == ["H100 80 GB"] * 2
    assert list(again["trainer.micro_batch_size"]) == [2, 2]
    assert list(again["step"]) == [0, 0]
    assert list(again["parameters"]) == [runs[0].rows[0]["plan/parameters"]] * 2
    assert list(again["plan/seconds"]) == [run.rows[0]["plan/seconds"] for run in runs]
    assert list(again["plan/peak_masters"]) == [0, 0]
    assert provenance(write_artifact(tmp_path), runs, "")["job_seconds"] > 0


def test_a_finished_plan_is_not_made_again(
    planned: Path, broken: None, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(planned)
    assert main(sweep(planned)) == 0
    said = capsys.readouterr()
    assert said.err.splitlines() == [f"{n} completed before, skipped" for n in NAMES]
    assert "The plans side by side" in said.out
    assert {name: files(planned)[name] for name in before if "0" in name} == {
        name: old for name, old in before.items() if "0" in name
    }


def test_plans_are_compared_in_one_table(
    planned: Path, broken: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([arg.replace("single,tp2", "tp2,single") for arg in sweep(planned)]) == 0
    out = capsys.readouterr().out.splitlines()
    (head,) = (number for number, line in enumerate(out) if "per rank" in line)
    assert [line.split()[:2] for line in out[head + 2 : head + 4]] == [
        ["tp2", "2"],
        ["single", "1"],
    ]
    assert out[-1] == str(planned / "plans.csv")
    table = pd.read_csv(planned / "plans.csv")
    plans = [content(planned / name / "plan.json") for name in NAMES[::-1]]
    assert list(table["run"]) == NAMES[::-1]
    assert list(table["parallel.tensor_model_parallel_size"]) == [2, 1]
    assert list(table["ranks"]) == [2, 1]
    assert list(table["peak_bytes"]) == [plan["memory"]["total"] for plan in plans]
    assert list(table["step_seconds"]) == [plan["seconds"]["total"] for plan in plans]
    speed = [8 * 16 / plan["seconds"]["total"] for plan in plans]
    assert list(table["tokens_per_second"]) == pytest.approx(speed)
    assert list(table["tokens_per_second_and_rank"]) == pytest.approx([speed[0] / 2, speed[1]])
    assert table["fits"].all()


def test_a_single_plan_is_compared_with_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "-m", *TINY, "parallel=tp2", f"hydra.sweep.dir={tmp_path}"]) == 0
    assert "side by side" not in capsys.readouterr().out
    assert not (tmp_path / "plans.csv").exists()


def test_another_plan_in_the_same_folder_says_what_differs(
    tmp_path: Path, broken: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(sweep(tmp_path)) == 1
    before = files(tmp_path / NAMES[0])
    assert main(sweep(tmp_path, "model.num_layers=2")) == 1
    made = {path.parent.name for path in tmp_path.glob("*/config.yaml")}
    assert made == {*NAMES, *(name.replace("-s1234", "-num_layers2-s1234") for name in NAMES)}
    assert files(tmp_path / NAMES[0]) == before


def test_a_plan_and_a_training_do_not_take_each_other_for_done(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hydratron.errors import JobError
    from hydratron.launch.attempt import finished

    job = JobFolder(planned / NAMES[0])
    config = load(job.config)
    assert (finished(config, job.path, "plan") or {})["status"] == "completed"
    with pytest.raises(JobError, match="holds a job of hydratron plan; choose another hydra"):
        finished(config, job.path)
    trained = tmp_path / "job"
    trained.mkdir()
    trained.joinpath("config.yaml").write_text(job.config.read_text())
    trained.joinpath("metrics.jsonl").write_text("{}\n")
    write_json(JobFolder(trained).provenance, content(job.provenance) | {"verb": "train"})
    before = files(trained)
    assert main(single(trained, "parallel=single")) == 2
    assert "holds a job of hydratron train" in capsys.readouterr().err
    assert files(trained) == before


def test_a_plan_that_fails_says_so_and_leaves_no_plan(
    tmp_path: Path, broken: None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sweep"
    assert main(sweep(folder)) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hydratron:")]
    assert len(said) == 2
    assert f"job {NAMES[1]} failed: ValueError: no such operation (traceback in " in said[1]
    job = JobFolder(folder / NAMES[0])
    assert {path.name for path in job.path.iterdir()} == FILES - {"plan.json", "metrics.jsonl"} | {
        "failure.json"
    }
    assert "in fail" in content(job.failure)["traceback"]
    run = read_run(job.path)
    assert (run.status, run.cause) == ("failed", "ValueError: no such operation")


def test_a_failed_or_cut_off_plan_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = JobFolder(tmp_path / "job")
    with monkeypatch.context() as patch:
        patch.setattr("hydratron.planner.plan.plan_job", lambda config: 1 / 0)
        assert main(single(job.path)) == 1
    assert main(single(job.path)) == 0
    assert {path.name for path in job.path.iterdir()} == FILES
    # As if killed before its result was written.
    job.result.unlink()
    monkeypatch.setattr("hydratron.planner.plan.plan_job", lambda config: 1 / 0)
    assert main(single(job.path)) == 1
    assert not (job.path / "plan.json").exists()
    assert not job.metrics.exists()


def test_the_result_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hydratron.planner import row

    def interrupted(plan: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(row, "row", interrupted)
    assert main(single(tmp_path / "job")) == 130
    run: Run = read_run(tmp_path / "job")
    assert (run.status, list(run.rows)) == ("unfinished", [])
    assert not (tmp_path / "job" / "failure.json").exists()


def test_the_jobs_go_where_the_command_has_claimed_a_folder(
    tmp_path: Path, broken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hydratron.cli.plan.claim", lambda planned: tmp_path / "mine")
    assert main(["plan", "model=gpt_pico"]) == 1
    (failed,) = tmp_path.rglob("failure.json")
    assert failed.is_relative_to(tmp_path / "mine")
