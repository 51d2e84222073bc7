from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from hydratron.reporting import print_summary, report
from hydratron.reporting.records import read_runs
from hydratron.reporting.tables import summary
from tests.unit.reporting.synthetic import FAILURE, MICRO, config, rows, write_job, write_sweep


def test_columns_come_in_reading_order(tmp_path: Path) -> None:
    frame = summary(read_runs(write_sweep(tmp_path / "sweep")))
    assert list(frame.columns) == [
        "run",
        *(f"model.{key}" for key in ("name", "num_layers", "hidden_size", "init_std")),
        "parallel.tensor_model_parallel_size",
        *("parameters", "tokens", "seconds", "train/loss", "val/loss", "val/perplexity"),
        *("perf/tokens_per_second", "tokens_to_loss", "target_loss", "status"),
    ]


def test_runs_are_ordered_by_validation_loss_and_those_without_come_last(tmp_path: Path) -> None:
    for name, value in (("a", 4.5), ("b", math.nan), ("c", 4.25), ("d", None)):
        logged = [{"step": 1, "tokens": 512, "val/loss": value}]
        write_job(
            tmp_path / "s" / name, config(), logged, "diverged" if name == "b" else "completed"
        )
    frame = summary(read_runs(tmp_path / "s"))
    assert list(frame["run"]) == ["c", "a", "b", "d"]


def test_the_csv_keeps_every_digit(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep")
    paths = report([sweep])
    assert paths.summary == sweep / "summary.csv"
    # The texts, because pandas may read back a neighbour of the number that stands there.
    with paths.summary.open(newline="") as file:
        read = list(csv.DictReader(file))
    exact = {run.name: run for run in read_runs(sweep)}
    for row in read:
        for key in ("val/loss", "train/loss", "seconds", "perf/tokens_per_second"):
            assert float(row[key]) == exact[row["run"]].final(key)
    assert ",5034496,204800," in paths.summary.read_text()


def test_names_that_need_quotes_survive_the_csv(tmp_path: Path) -> None:
    cfg = replace(config(), model=replace(config().model, name='a, "b"'))
    write_job(tmp_path / "s" / "0", cfg)
    write_job(tmp_path / "s" / "1", config(MICRO))
    text = report([tmp_path / "s"]).summary.read_text()
    assert set(pd.read_csv(io.StringIO(text))["model.name"]) == {'a, "b"', "gpt_micro"}


def test_several_sweeps_name_theirs(tmp_path: Path) -> None:
    write_job(tmp_path / "one" / "0", config())
    write_job(tmp_path / "two" / "0", config(MICRO))
    paths = report([tmp_path / "one", tmp_path / "two"])
    assert paths.dashboard.parent == tmp_path / "one"
    assert not (tmp_path / "two" / "summary.csv").exists()
    assert list(pd.read_csv(paths.summary)["sweep"]) == ["two", "one"]


def test_the_terminal_shows_runs_causes_findings_and_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write_sweep(tmp_path / "sweep")
    print_summary(sweep)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    table = [line.split() for line in lines if line.startswith("gpt_")]
    assert [row[:2] for row in table[:1]] == [["gpt_micro", "single"]]
    assert table[-1][-1] == "failed"
    assert len(table) == 6
    assert any(line.startswith("005_gpt_micro-tp2-pre-s1 failed: RuntimeError") for line in lines)
    ordered = "sizes, single: gpt_pico 4.7010 > gpt_nano 4.4512 > gpt_micro 4.3637: ordered, "
    assert ordered + "the larger the lower" in lines
    names = ("dashboard.html", "summary.csv", "curves.csv")
    assert lines[-3:] == [str(sweep / name) for name in names]


def test_the_csv_says_at_how_many_tokens_the_target_was_reached(tmp_path: Path) -> None:
    read = pd.read_csv(report([write_sweep(tmp_path / "sweep")]).summary)
    best = read.loc[read["model.name"] == "gpt_pico", "val/loss"].min()
    (target,) = set(read["target_loss"])
    assert best <= target < best + 1e-4
    by_run = dict(zip(read["run"].str[:3], read["tokens_to_loss"], strict=True))
    assert 60_000 < float(by_run["004"]) < float(by_run["002"]) < 204_800
    # Both degrees of the smallest model reach it, at their last row or just before.
    assert all(200_000 < float(by_run[run]) <= 204_800 for run in ("000", "001"))


def test_a_run_that_never_reached_the_target_says_so(tmp_path: Path) -> None:
    for name, losses in (("a", (5.0, 4.0)), ("b", (5.0, 4.5)), ("c", ())):
        logged = [{"step": i, "tokens": 100 * i, "val/loss": v} for i, v in enumerate(losses, 1)]
        logged = logged or [{"step": 1, "tokens": 100, "train/loss": 3.0}]
        cfg = replace(config(), trainer=replace(config().trainer, max_steps=len(name) + 400))
        write_job(tmp_path / "s" / name, cfg, logged)
    paths = report([tmp_path / "s"])
    read = pd.read_csv(paths.summary, keep_default_na=False).set_index("run")
    assert dict(read["tokens_to_loss"]) == {"a": "200", "b": "not reached", "c": ""}
    page = paths.dashboard.read_text()
    told = re.findall(r'<td class="number"[^>]* data-runs="(\d)">([^<]*)</td>', page)
    assert told == [("0", "200"), ("1", "not reached"), ("2", "–")]


def test_the_run_is_named_where_the_columns_do_not_tell_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_job(tmp_path / "s" / "first", config(), rows(config()))
    write_job(tmp_path / "s" / "second", config(), [], None, FAILURE)
    print_summary(tmp_path / "s")
    out = capsys.readouterr().out
    assert "first " in out
    assert "second " in out


def test_markup_in_a_name_is_not_read_by_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = replace(config(), model=replace(config().model, name="[red]x[/red]"))
    write_job(tmp_path / "s" / "0", cfg)
    write_job(tmp_path / "s" / "1", config(MICRO))
    print_summary(tmp_path / "s")
    assert [
        line.split()[0] for line in capsys.readouterr().out.splitlines() if "1.00M" in line
    ] == ["[red]x[/red]"]


def test_a_pipe_gets_whole_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["a" * 50, "b" * 50]
    for name in names:
        write_job(tmp_path / "s" / name, config(), rows(config())[:3])
    print_summary(tmp_path / "s")
    out = capsys.readouterr().out
    assert all(f"{name} " in out for name in names)
