"""A folder is written whole or not at all, by one process at a time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hydratron.data.folders import locked, remove_leftovers, replacing
from hydratron.data.progress import LateProgress


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_the_folder_appears_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "a.b"
    with replacing(folder) as building:
        (building / "x").write_text("new")
        assert not folder.exists()
    assert (folder / "x").read_text() == "new"
    assert visible(tmp_path) == ["a.b"]


def test_the_folder_before_stays_until_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "old").write_text("old")
    with pytest.raises(ValueError, match="broken"), replacing(folder):
        raise ValueError("broken")
    assert visible(folder) == ["old"]
    with replacing(folder) as building:
        (building / "new").write_text("new")
        assert visible(folder) == ["old"]
    assert visible(folder) == ["new"]
    assert visible(tmp_path) == ["a"]


def leftover(parent: Path, name: str) -> Path:
    path = parent / name
    path.mkdir()
    (path / "half").write_text("x")
    return path


def test_leftovers_of_the_same_folder_are_removed(tmp_path: Path) -> None:
    for name in (".a.x1y2z3w4.tmp", ".a.b.x1y2z3w4.tmp", ".a.b.tmp", ".b.x1y2z3w4.tmp", "a.tmp"):
        leftover(tmp_path, name)
    with LateProgress(False) as bar, locked(tmp_path / "a", bar):
        pass
    assert visible(tmp_path) == [".a.b.tmp", ".a.b.x1y2z3w4.tmp", ".b.x1y2z3w4.tmp", "a.tmp"]


def test_leftovers_of_the_living_stay(tmp_path: Path) -> None:
    with LateProgress(False) as bar, locked(tmp_path / "a", bar):
        leftover(tmp_path, ".a.x1y2z3w4.tmp")
        leftover(tmp_path, ".b.x1y2z3w4.tmp")
        remove_leftovers(tmp_path)
        assert visible(tmp_path) == [".a.x1y2z3w4.tmp"]
    remove_leftovers(tmp_path)
    assert visible(tmp_path) == []


def test_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    entered = threading.Event()

    def second() -> None:
        entered.wait()
        with LateProgress(False) as bar, locked(tmp_path / "a", bar):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with LateProgress(False) as bar, locked(tmp_path / "a", bar):
        entered.set()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
