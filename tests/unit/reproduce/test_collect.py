from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from hydratron.errors import HydratronError
from hydratron.reproduce.collect import curves, provenance, read_curves
from tests.unit.reproduce.small_artifact import RUNS, run, write_artifact


def test_only_the_rows_with_the_metric_and_all_digits(tmp_path: Path) -> None:
    frame = curves(RUNS, ["val/loss"], ["optim.lr"])
    assert list(frame.columns) == [
        *("run", "status", "model", "parallel", "seed", "parameters", "blocks"),
        *("optim.lr", "step", "tokens", "val/loss"),
    ]
    assert len(frame) == 6
    assert frame["blocks"].unique().tolist() == [12 * 2 * 128**2]
    frame.to_csv(tmp_path / "curves.csv", index=False)
    again = read_curves(tmp_path / "curves.csv")
    pd.testing.assert_frame_equal(again, frame, check_exact=True, check_dtype=False)
    assert again["val/loss"].iloc[1] == 0.1 + 0.2


def test_a_run_that_logged_nothing_is_not_forgotten(tmp_path: Path) -> None:
    runs = [run(1, []), run(2, [math.nan], "diverged")]
    curves(runs, ["val/loss"], []).to_csv(tmp_path / "curves.csv", index=False)
    frame = read_curves(tmp_path / "curves.csv")
    assert frame["seed"].tolist() == [1, 2]
    assert frame["status"].tolist() == ["completed", "diverged"]
    assert frame["step"].isna().tolist() == [True, False]


def test_no_curves_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HydratronError, match=r"curves.csv: not there; run the profile first"):
        read_curves(tmp_path / "curves.csv")


def test_what_all_jobs_share_is_said_once(tmp_path: Path) -> None:
    artifact = write_artifact(tmp_path)
    found = provenance(artifact, RUNS, "hydratron reproduce")
    assert (found["commit"], found["dirty"], found["started"]) == ("abc", False, "2026-01-01")
    assert found["job_seconds"] == 9.0
    assert found["declared"].keys() == {"criteria.yaml", "profiles.yaml"}
    assert [job["run"] for job in found["jobs"]] == [r.name for r in RUNS]
    (artifact.folder / "pilot.csv").write_text("model\n")
    other = run(4, [1.0])
    other.provenance.update(commit="def", dirty=True)
    found = provenance(artifact, [*RUNS[1:], other], "hydratron reproduce")
    assert (found["commit"], found["dirty"]) == (["abc", "def"], True)
    assert "pilot.csv" in found["declared"]


def test_a_run_without_provenance_counts_as_dirty(tmp_path: Path) -> None:
    unknown = run(1, [1.0])
    unknown.provenance.clear()
    found = provenance(write_artifact(tmp_path), [unknown], "x")
    assert (found["commit"], found["dirty"], found["started"]) == (None, True, None)
