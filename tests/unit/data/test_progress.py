"""The bar comes late, on standard error, or not at all."""

from __future__ import annotations

import re

import pytest

from hydratron.data import progress
from hydratron.data.progress import LateProgress


def work(shown: bool) -> None:
    with LateProgress(shown) as bar:
        bar.start("first", 10)
        bar.advance(10)
        bar.start("second", 2_000_000)
        bar.advance(1_000_000)


def test_quick_work_shows_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    work(shown=True)
    assert capsys.readouterr() == ("", "")


def test_slow_work_shows_a_bar_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    work(shown=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "second" in shown.err
    assert "50%" in shown.err
    assert re.search(r"\d [kMG]B/s.* time left", shown.err)


def test_no_bar_without_a_terminal_or_when_it_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1.0)
    work(shown=True)  # standard error is no terminal here
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    work(shown=False)
    assert capsys.readouterr() == ("", "")
