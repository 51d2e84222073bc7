from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pandas as pd

from hydratron.reporting.exports import curves_csv
from hydratron.reporting.records import read_runs
from tests.unit.reporting.synthetic import MICRO, config, rows, write_job, write_sweep


def test_every_logged_value_is_in_the_csv_with_all_its_digits(tmp_path: Path) -> None:
    runs = read_runs(write_sweep(tmp_path / "sweep"))
    # The texts, because pandas may read back a neighbour of the number that stands there.
    read = list(csv.DictReader(io.StringIO(curves_csv(runs))))
    columns = list(read[0])
    assert columns[:2] == ["run", "model.name"]
    assert columns.index("step") == 6
    assert not {"seed", "sweep"} & set(columns)
    assert len(read) == sum(len(run.rows) for run in runs)
    for run in runs:
        own = [row for row in read if row["run"] == run.name]
        assert {row["model.name"] for row in own} == {run.model}
        for key in ("step", "tokens", "seconds", "train/loss", "val/loss", "perf/memory_bytes"):
            logged = [row[key] for row in run.rows if key in row]
            assert [float(row[key]) for row in own if row[key]] == logged


def test_whole_numbers_stay_whole_and_names_are_quoted(tmp_path: Path) -> None:
    cfg = replace(config(), model=replace(config().model, name='a, "b"'))
    write_job(tmp_path / "one" / "0", cfg, rows(cfg, 4))
    write_job(tmp_path / "two" / "0", config(MICRO), [])
    text = curves_csv(read_runs([tmp_path / "one", tmp_path / "two"]))
    assert ",2,1024," in text
    read = pd.read_csv(io.StringIO(text))
    assert set(read["model.name"]) == {'a, "b"'}
    assert set(read["sweep"]) == {"one"}


def test_runs_without_rows_leave_the_head(tmp_path: Path) -> None:
    write_job(tmp_path / "s" / "0", config(), [], "failed")
    assert curves_csv(read_runs(tmp_path / "s")).startswith('"run"')
