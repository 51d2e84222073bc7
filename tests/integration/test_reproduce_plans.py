"""An artifact that plans its jobs, from its profile to its figure of bars and its verdict."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hydratron.cli import main
from hydratron.job import read_json
from tests.unit.reproduce.small_artifact import write_artifact

PROFILES = """\
title: Plans
metrics: [plan/seconds, plan/peak_bytes]
settings: [plan.numerics]
profiles:
  small:
    about: two plans of a tiny model
    stages:
      - name: sizes
        verb: plan
        minutes: 4
        sweeps: [[parallel=single], [parallel=tp2]]
        overrides:
          - model=gpt_pico
          - model.num_layers=1
          - trainer.global_batch_size=8
          - cluster=dgx2h_v100
"""
ANALYZE = '''\
"""Seconds and memory of each plan."""
from hydratron.reporting.estimate import estimate
from hydratron.reporting.verdict import Claim, direction
from hydratron.reproduce.figure import Analysis, Bars, Figure


def analyze(frame, criteria):
    columns = list(frame["parallel"])
    panels = [Bars(key, "", "", columns, {key: frame[key]}) for key in frame.columns[-2:]]
    table = frame[["parallel", "plan/seconds"]]
    claim = Claim.of(criteria, "low")
    return Analysis(Figure("F", panels), table, [direction(claim, estimate([1.0, 1.1, 0.9]))])
'''


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "experiments"
    artifact = write_artifact(folder)
    (artifact.folder / "profiles.yaml").write_text(PROFILES)
    (artifact.folder / "analyze.py").write_text(ANALYZE)
    return folder


def test_plans_become_a_figure_and_are_not_made_twice(
    experiments: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "--list"]) == 0
    assert "small  2 jobs, about 4 min; two plans of a tiny model" in capsys.readouterr().out
    assert main(["reproduce", "fig1", "--profile", "small"]) == 0
    results = experiments / "fig1_thing/results/small"
    frame = pd.read_csv(results / "curves.csv")
    assert list(frame["parallel"]) == ["single", "tp2"]
    assert (frame["plan/seconds"] > 0).all()
    assert frame["plan/peak_bytes"][0] > frame["plan/peak_bytes"][1] > 0
    assert "<svg" in (results / "figure.svg").read_text()
    said = read_json(results / "provenance.json")
    assert said is not None
    assert [job["status"] for job in said["jobs"]] == ["completed", "completed"]
    assert all("trainer=paper" in job["overrides"] for job in said["jobs"])
    monkeypatch.setattr("hydratron.planner.plan.plan_job", lambda config: 1 / 0)
    before = (results / "curves.csv").read_bytes()
    capsys.readouterr()
    assert main(["reproduce", "fig1", "--profile", "small"]) == 0
    shown = capsys.readouterr()
    assert "0 of 2 jobs left, about 0 min" in shown.out
    assert shown.err.count("completed before, skipped") == 2
    assert (results / "curves.csv").read_bytes() == before


def test_a_plan_that_fails_leaves_no_results(
    experiments: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hydratron.planner.plan.plan_job", lambda config: 1 / 0)
    assert main(["reproduce", "fig1", "--profile", "small"]) == 1
    said = capsys.readouterr().err
    assert "job outputs/reproduce/fig1_thing/small/sizes/000_gpt_pico-tp2-pre-s1234 failed" in said
    assert "no results: not every job has run" in said
    assert not (experiments / "fig1_thing/results").exists()


def test_what_a_machine_cannot_run_is_told_as_commands(
    experiments: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = experiments / "fig1_thing/profiles.yaml"
    file.write_text(PROFILES.replace("    stages:", "    paths: [nowhere]\n    stages:"))
    assert main(["reproduce", "fig1", "--profile", "small"]) == 1
    shown = capsys.readouterr()
    assert "hydratron plan -m parallel=tp2 model=gpt_pico" in shown.out
    assert "trainer=paper" not in shown.out
    assert "it needs nowhere (not there)" in shown.err
