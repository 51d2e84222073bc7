"""One row per metric, and what becomes of a metric that has none."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hydratron.reporting import report
from hydratron.reporting.metrics import LAYERS, METRICS, OTHER, ROWS, charts, metric, metrics
from hydratron.reporting.ranking import rank
from hydratron.reporting.records import read_run, read_runs
from hydratron.reporting.rows import read_metrics
from hydratron.reporting.tables import outcomes
from hydratron.reporting.terminal import table
from hydratron.workspace import spec
from tests.unit.reporting.synthetic import config, rows, write_job

SOURCE = Path(__file__).parents[3] / "src" / "hydratron"
HOSTILE = 'a"><script>alert(1)</script>'


def test_names_and_columns_are_unique_and_every_column_is_drawn_or_a_position() -> None:
    assert len(ROWS) == len(METRICS)
    titles = [row.column for row in METRICS if row.column]
    assert len({*titles}) == len(titles)


def test_a_name_without_a_row_gets_one_made_of_it() -> None:
    found = metric("train/z_loss")
    assert (found.title, found.unit, found.panel) == ("Train z loss", "", OTHER)
    assert (found.format.text(12345.678), found.format.text(None)) == ("1.235e+04", "–")
    assert metric("layers/07/grad_norm") is ROWS["layers/*/grad_norm"]
    assert metric("layers/07/new").panel == LAYERS


def test_metrics_come_in_the_order_of_the_rows_and_the_ranked_one_is_drawn_first() -> None:
    names = ["b", "lr", "a", "val/loss", "train/loss", "step", "layers/00/grad_norm", "lr"]
    assert [row.name for row in metrics(names)] == [
        *("step", "train/loss", "val/loss", "lr", "layers/*/grad_norm", "b", "a"),
    ]
    assert [row.name for row in charts(names)] == ["val/loss", "train/loss", "lr", "b", "a"]


def test_the_best_comes_first_and_what_is_no_number_last() -> None:
    values = [math.nan, 2.0, None, 1.0]
    for name, best in (("val/loss", [1.0, 2.0]), ("val/accuracy", [2.0, 1.0])):
        assert sorted(values, key=lambda value: rank(value, ROWS[name]))[:2] == best


@pytest.mark.parametrize("room", ["reporting", "workspace"])
def test_what_is_said_of_a_metric_stands_in_its_row_alone(room: str) -> None:
    named = re.compile(r"\"(train|val|perf|layers)/\w*|\"(lr|grad_norm)\"")
    files = {path for path in (SOURCE / room).rglob("*") if path.suffix in (".py", ".js", ".html")}
    found = {p.name: m[0] for p in files if (m := named.search(p.read_text()))}
    # The agreement of training losses is a finding about that very metric.
    assert {*found} <= {"metrics.py", "agreements.py"}


def test_a_metric_without_a_row_is_on_the_page_in_the_csv_and_in_the_workspace(
    tmp_path: Path,
) -> None:
    logged = [row | {"train/odd": 3.5, HOSTILE: 1, "note": "x"} for row in rows(config(), 20)]
    write_job(tmp_path / "s" / "0", config(), logged)
    paths = report([tmp_path / "s"])
    html = paths.dashboard.read_text()
    assert html.index("<h2>Performance</h2>") < html.index("<h2>Other metrics</h2>")
    assert "<h3>Train odd</h3>" in html
    assert "alert(1)</script>" not in html
    frame = pd.read_csv(paths.summary)
    assert frame["train/odd"].tolist() == [3.5]
    assert "note" not in frame
    runs = read_runs(tmp_path / "s")
    made = spec.workspace(runs, "t", "e", "p")
    assert ["train/odd"] in [getattr(plot, "y", None) for plot in made.sections[0].panels]
    assert "summary:train/odd" in spec.columns(runs, [])


def test_tables_have_the_columns_that_a_run_has_a_value_of(tmp_path: Path) -> None:
    planned = {"step": 0, "tokens": 0, "plan/seconds": 2.0}
    runs = read_runs(write_job(tmp_path / "plan", config(), [planned], "completed"))
    assert [row.name for row in outcomes(runs)] == ["tokens"]
    assert [str(column.header) for column in table(runs, 200).columns][-3:] == [
        *("params", "tokens", "status"),
    ]
    summary = pd.read_csv(report([tmp_path / "plan"]).summary)
    assert [*summary] == ["run", "parameters", "tokens", "plan/seconds", "status"]


@pytest.mark.parametrize("broken", ["NaN", "null"])
@pytest.mark.parametrize("text", ["", ', "note": "x"'])
def test_a_loss_that_was_no_number_is_how_the_run_ended(
    tmp_path: Path, broken: str, text: str
) -> None:
    job = write_job(tmp_path / "s" / "0", config(), [], "diverged")
    lines = ['{"step": 1, "train/loss": 5.0, "n": 3}', '{"step": 2, "val/loss": 4.5}']
    lines.append(f'{{"step": 3, "train/loss": {broken}{text}}}')
    (job / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (job / "result.json").write_text(f'{{"status": "diverged", "train/loss": {broken}}}')
    found: list[dict[str, Any]] = list(read_metrics(job / "metrics.jsonl"))
    assert ["train/loss" in row for row in found] == [True, False, True]
    run = read_run(job)
    assert math.isnan(run.final("train/loss") or 0)
    assert run.final("val/loss") == 4.5
    assert run.curve("train/loss")[0].tolist() == [1]
    assert json.loads(json.dumps(found[0])) == {"step": 1, "train/loss": 5.0, "n": 3}
