from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hydratron.reporting.exports import write_curves
from hydratron.reporting.records import Run, read_runs
from tests.unit.reporting.synthetic import MICRO, config, rows, write_job, write_sweep


def curves_csv(runs: Sequence[Run]) -> str:
    file = io.BytesIO()
    write_curves(runs, file)
    return file.getvalue().decode()


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


def test_a_metric_is_whole_in_all_rows_or_in_none(tmp_path: Path) -> None:
    first: list[dict[str, Any]] = [
        {"step": 1, "perf/memory_bytes": 410_000_000, "lr": 1, "scale": 65536.0, "huge": 2e16},
        {"step": 2, "grad_norm": math.inf, "note": "early"},
    ]
    write_job(tmp_path / "s" / "0", config(), first)
    write_job(tmp_path / "s" / "1", config(), [{"step": 1, "lr": 0.5, "note": 3, "none": None}])
    text = curves_csv(read_runs(tmp_path / "s"))
    assert text.splitlines() == [
        '"run","step","lr","grad_norm","perf/memory_bytes","scale","huge","note"',
        '"0",1,1,,410000000,65536,2e+16,',
        '"0",2,,inf,,,,"early"',
        '"1",1,0.5,,,,,"3"',
    ]


def test_runs_without_rows_leave_the_head(tmp_path: Path) -> None:
    write_job(tmp_path / "s" / "0", config(), [], "failed")
    assert curves_csv(read_runs(tmp_path / "s")).startswith('"run"')
