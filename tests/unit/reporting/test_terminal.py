from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hydratron.cli import main
from hydratron.reporting import live, print_summary, records, report
from hydratron.reporting.records import Run, read_run
from tests.unit.reporting.synthetic import (
    NANO,
    PICO,
    config,
    rows,
    write_job,
    write_sweep,
    write_twelve,
)

BLOCKS = set("▁▂▃▄▅▆▇█")


@pytest.mark.parametrize(("columns", "drawn"), [(160, 6), (70, 0)])
def test_a_wide_terminal_shows_a_line_for_every_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
    drawn: int,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    print_summary(write_sweep(tmp_path / "sweep"))
    out = capsys.readouterr().out
    assert ("val loss over tokens" in out) == bool(drawn)
    assert sum(bool(BLOCKS & set(line)) for line in out.splitlines()) == drawn


def test_a_pipe_has_no_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(write_sweep(tmp_path / "sweep"))
    assert not BLOCKS & set(capsys.readouterr().out)


@pytest.mark.parametrize("options", [[], ["--live"]])
def test_the_command_reads_every_run_once_and_ends(
    options: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep, seen = write_sweep(tmp_path / "sweep"), []
    for path in sweep.glob("*/*"):
        os.utime(path, (1e9, 1e9))

    def counted(path: Path) -> Run:
        seen.append(path)
        return read_run(path)

    def never(seconds: float) -> None:
        assert seconds < 1, "a finished sweep needs no second look"

    monkeypatch.setattr(records, "read_run", counted)
    monkeypatch.setattr(live, "read_run", counted)
    monkeypatch.setattr("hydratron.reporting.live.time.sleep", never)
    monkeypatch.setattr(live, "_write_page", lambda *_: None)
    assert main(["report", str(sweep), *options]) == 0
    assert sorted(seen) == sorted(sweep.glob("0*"))
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == str(sweep / "curves.csv")
    assert "gpt_micro" in out
    assert err == ""
    assert "live, written at" not in (sweep / "dashboard.html").read_text()


def test_a_report_can_end_with_the_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write_sweep(tmp_path / "sweep")
    report([sweep])
    assert capsys.readouterr().out == ""
    report([sweep], summary=True)
    first = capsys.readouterr().out
    print_summary(sweep)
    assert first == capsys.readouterr().out
    assert "gpt_micro" in first


def test_a_terminal_has_the_means_over_seeds_and_what_was_swept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(write_twelve(tmp_path / "s"))
    out = capsys.readouterr().out
    means = out.split("means over seeds, with 95 % intervals (Student's t)")[1]
    assert ["gpt_pico", "0.001", "3"] in [line.split()[:3] for line in means.splitlines()]
    assert "4.7023 ± 0.0122" in means
    assert "tokens to" in means
    assert "loss 4.6981" in means
    assert "lr, gpt_pico: lr 0.001 ends lower than lr 0.003: val/loss lr 0.003 - lr 0.001 +" in out
    assert "sizes, each at its best lr: gpt_pico (lr 0.001) 4.7" in out


def test_a_terminal_shows_the_first_findings_and_counts_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for steps in range(1, 14):
        for model in (PICO, NANO):
            cfg = config(model)
            cfg = replace(cfg, trainer=replace(cfg.trainer, val_samples=steps))
            write_job(tmp_path / "s" / f"{model.name}{steps}", cfg, rows(cfg, 20))
    print_summary(tmp_path / "s")
    out = capsys.readouterr().out
    assert out.count("sizes, val_samples") == 12
    assert "4 more findings on the page" in out
