"""Kept arrays: built once, mapped by all, never stale, mended when damaged."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from hydratron.data.samples.cache import Arrays, cached, fingerprint

IDENTITY = {"order": "test", "seed": 1}


class Builder:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return {"a": np.arange(7, dtype=np.int32), "b": np.ones((3, 2), dtype="<u4")}


def test_it_builds_once_and_maps_what_it_built(tmp_path: Path) -> None:
    build = Builder()
    for _ in range(3):
        arrays = cached(tmp_path / "index", IDENTITY, build)
        assert {name: (v.dtype.str, v.tolist()) for name, v in arrays.items()} == {
            "a": ("<i4", list(range(7))),
            "b": ("<u4", [[1, 1]] * 3),
        }
        assert not arrays["a"].flags.writeable
    assert build.calls == 1


def test_another_identity_is_another_entry(tmp_path: Path) -> None:
    build = Builder()
    cached(tmp_path, IDENTITY, build)
    cached(tmp_path, dict(reversed(IDENTITY.items())), build)
    assert build.calls == 1
    cached(tmp_path, IDENTITY | {"seed": 2}, build)
    assert build.calls == 2


DAMAGES = {
    "an array is cut": lambda entry: _cut(entry / "a.npy", 3),
    "an array is empty": lambda entry: _cut(entry / "b.npy", 0),
    "an array is gone": lambda entry: (entry / "a.npy").unlink(),
    "an array is of another shape": lambda entry: np.save(
        entry / "a.npy", np.arange(6, dtype="i4")
    ),
    "an array is of another type": lambda entry: np.save(entry / "a.npy", np.arange(7)),
    "the description is gone": lambda entry: (entry / "content.json").unlink(),
    "the description is cut": lambda entry: _cut(entry / "content.json", 9),
}


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.fault(35)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_built_again(tmp_path: Path, damage: str) -> None:
    build = Builder()
    cached(tmp_path, IDENTITY, build)
    (entry,) = (path for path in tmp_path.iterdir() if path.is_dir())
    DAMAGES[damage](entry)
    assert cached(tmp_path, IDENTITY, build)["a"].tolist() == list(range(7))
    assert build.calls == 2
    cached(tmp_path, IDENTITY, build)
    assert build.calls == 2
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [entry]


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> Arrays:
        raise KeyError("x")

    with pytest.raises(KeyError):
        cached(tmp_path, IDENTITY, fail)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    build = Builder()
    with pytest.warns(UserWarning, match="the sample order is not kept: "):
        arrays = cached(tmp_path / "file" / "index", IDENTITY, build)
    assert arrays["a"].tolist() == list(range(7))


def _ask(folder: Path, log: Path, start: object) -> None:
    def build() -> Arrays:
        with log.open("a") as file:
            file.write("built\n")
        return {"a": np.arange(1000)}

    start.wait()  # type: ignore[attr-defined]
    assert cached(folder, IDENTITY, build)["a"].sum() == 499500


@pytest.mark.fault(34)
@pytest.mark.parametrize("round_", range(10))
def test_of_many_processes_one_builds(tmp_path: Path, round_: int) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4)
    log = tmp_path / "log"
    asking = [context.Process(target=_ask, args=(tmp_path / "i", log, start)) for _ in range(4)]
    for process in asking:
        process.start()
    for process in asking:
        process.join(30)
    assert [process.exitcode for process in asking] == [0] * 4
    assert log.read_text() == "built\n"


def test_the_fingerprint_is_of_the_values() -> None:
    values = np.arange(10)
    assert fingerprint(values[::2]) == fingerprint(values[::2].copy())
    assert fingerprint(values) != fingerprint(values[::-1])
