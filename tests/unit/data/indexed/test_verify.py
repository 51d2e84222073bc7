"""Hashes, and tokens outside the vocabulary, by file, document, sequence and offset."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.data.indexed import bin_path, hashes, idx_path, verify
from tests.unit.data.indexed.golden import GOLDEN_BIN, GOLDEN_IDX, TYPES, write

# Its package names the function like the module.
MODULE = importlib.import_module("hydratron.data.indexed.verify")


def _lines(prefix: Path, vocab_size: int | None, recorded: dict[str, str] | None) -> list[str]:
    return [str(problem) for problem in verify(prefix, vocab_size, recorded, lambda _: None)]


def test_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    assert hashes(write(tmp_path / "x")) == {
        "bin": hashlib.sha256(GOLDEN_BIN).hexdigest(),
        "idx": hashlib.sha256(GOLDEN_IDX).hexdigest(),
    }


def test_whole_files_have_no_problem_and_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "CHUNK", 8)
    prefix = write(tmp_path / "x")
    for vocab_size in (7, None):
        for recorded in (hashes(prefix), None):
            read: list[int] = []
            assert verify(prefix, vocab_size, recorded, read.append) == []
            assert sum(read) == len(GOLDEN_BIN) + len(GOLDEN_IDX)
            assert max(read) == 8


@pytest.mark.parametrize("name", ["bin", "idx"])
def test_another_hash_is_named(tmp_path: Path, name: str) -> None:
    prefix = write(tmp_path / "x")
    recorded = hashes(prefix)
    wrong = f"its sha256 is {recorded[name]}; expected"
    path = tmp_path / f"x.{name}"
    assert _lines(prefix, 7, recorded | {name: "ab"}) == [f"token file={path}: {wrong} ab"]
    del recorded[name]
    assert _lines(prefix, 7, recorded) == [f"token file={path}: {wrong} None"]


@pytest.mark.parametrize("chunk", [8, 1 << 20])
def test_the_first_token_outside_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(MODULE, "CHUNK", chunk)
    documents = [[[1, 2, 3], [4]], [], [[], [5, 9, 5, 1], []], [[8]]]
    prefix = write(tmp_path / "x", documents, "i4")
    assert _lines(prefix, 8, None) == [
        f"token file={bin_path(prefix)}: document 2, sequence 3, offset 1: token 9 is outside the "
        "vocabulary of 8, as are 2 of 9 tokens in all"
    ]
    assert _lines(prefix, 9, None)[0].endswith("as are 1 of 9 tokens in all")
    assert _lines(prefix, 10, None) == []


def test_every_problem_is_reported(tmp_path: Path) -> None:
    prefix = write(tmp_path / "x")
    problems = verify(prefix, 6, {"bin": "", "idx": ""}, lambda _: None)
    paths = [bin_path(prefix), idx_path(prefix), bin_path(prefix)]
    assert [problem.value for problem in problems] == paths


def test_files_that_do_not_open_are_reported(tmp_path: Path) -> None:
    assert _lines(tmp_path / "x", 6, None) == [
        f"token file={tmp_path / 'x.idx'}: cannot be read: No such file or directory"
    ]


@given(st.data(), st.sampled_from(TYPES), st.sampled_from([8, 1 << 20]))
def test_tokens_are_compared_as_numbers(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, dtype: str, chunk: int
) -> None:
    if dtype[0] == "f":
        numbers: Any = st.sampled_from([0.0, 1.0, 3.0, 2.5, -1.0, -0.0, np.inf, np.nan, 300.0])
    else:
        limits = np.iinfo(dtype)
        numbers = st.integers(int(limits.min), int(limits.max)) | st.integers(0, 3)
    tokens = data.draw(st.lists(numbers, max_size=20))
    sizes = 0, 1, 3, 127, 128, 255, 256, 300, 32768, 2**31, 2**40
    vocab_size = data.draw(st.sampled_from(sizes))
    prefix = write(tmp_path_factory.mktemp("compare") / "x", [[tokens]], dtype)
    outside = [i for i, t in enumerate(tokens) if not (0 <= t < vocab_size and t == int(t))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "CHUNK", chunk)
        lines = _lines(prefix, vocab_size, None)
    assert len(lines) == bool(outside)
    if outside:
        assert f"offset {outside[0]}: token" in lines[0]
        assert lines[0].endswith(f"as are {len(outside)} of {len(tokens)} tokens in all")
