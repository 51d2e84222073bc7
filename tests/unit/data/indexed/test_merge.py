"""Merging token files: their concatenation, whole or not at all."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.data.indexed import (
    IndexedDataset,
    IndexedDatasetWriter,
    bin_path,
    idx_path,
    merge,
)
from hydratron.errors import DataError
from tests.unit.data.indexed.golden import DOCUMENTS, TYPES, names, read_documents, write

Documents = list[list[list[int]]]


@given(
    parts=st.lists(
        st.lists(st.lists(st.lists(st.integers(0, 100), max_size=3), max_size=3), max_size=4),
        min_size=1,
        max_size=4,
    ),
    dtype=st.sampled_from(TYPES),
    chunk=st.sampled_from([1, 2, 1 << 20]),
)
def test_the_merged_files_are_those_of_all_documents_written_at_once(
    tmp_path_factory: pytest.TempPathFactory, parts: list[Documents], dtype: str, chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    prefixes = [write(folder / f"part{i}", part, dtype) for i, part in enumerate(parts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hydratron.data.indexed.writer.CHUNK", chunk)
        merge(prefixes, folder / "merged")
    everything = [document for part in parts for document in part]
    assert read_documents(IndexedDataset(folder / "merged")) == everything
    once = write(folder / "once", everything, dtype)
    for path in (bin_path, idx_path):
        assert path(folder / "merged").read_bytes() == path(once).read_bytes()


def test_other_token_types_are_refused_by_name(tmp_path: Path) -> None:
    prefixes = [write(tmp_path / f"{dtype}", dtype=dtype) for dtype in ("u2", "i4", "i8")]
    before = names(tmp_path)
    with pytest.raises(DataError) as caught:
        merge(prefixes, tmp_path / "merged")
    first = tmp_path / "u2.idx"
    assert str(caught.value).splitlines() == [
        f"token file={tmp_path / 'i4.idx'}: holds int32; expected uint16, as in {first}",
        f"token file={tmp_path / 'i8.idx'}: holds int64; expected uint16, as in {first}",
    ]
    assert names(tmp_path) == before


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    prefixes = [write(tmp_path / "a"), tmp_path / "b"]
    with pytest.raises(DataError, match=r"b\.idx: cannot be read"):
        merge(prefixes, tmp_path / "merged")
    assert names(tmp_path) == ["a.bin", "a.idx"]


def test_nothing_to_merge_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to merge"):
        merge([], tmp_path / "merged")


def test_a_failure_leaves_no_file_and_keeps_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = write(tmp_path / "a")
    copied = 0

    def fail_at_the_second(*arguments: Any) -> None:
        nonlocal copied
        copied += 1
        if copied == 2:
            raise OSError("no space left")

    monkeypatch.setattr(shutil, "copyfileobj", fail_at_the_second)
    with pytest.raises(OSError, match="no space left"):
        merge([prefix, prefix], prefix)
    assert names(tmp_path) == ["a.bin", "a.idx"]
    assert read_documents(IndexedDataset(prefix)) == DOCUMENTS


def test_the_output_may_be_one_of_the_parts(tmp_path: Path) -> None:
    prefix = write(tmp_path / "a")
    merge([prefix, prefix], prefix)
    assert read_documents(IndexedDataset(prefix)) == DOCUMENTS * 2


def test_a_dataset_of_another_type_is_not_added(tmp_path: Path) -> None:
    dataset = IndexedDataset(write(tmp_path / "a"))
    with (
        pytest.raises(ValueError, match="tokens of uint16, not of int32"),
        IndexedDatasetWriter(tmp_path / "b", "i4") as writer,
    ):
        writer.add_dataset(dataset)


def test_a_dataset_does_not_join_an_open_document(tmp_path: Path) -> None:
    dataset = IndexedDataset(write(tmp_path / "a"))
    with IndexedDatasetWriter(tmp_path / "b", "u2") as writer:
        writer.add([1])
        with pytest.raises(ValueError, match="not ended"):
            writer.add_dataset(dataset)
        writer.end_document()
    assert read_documents(IndexedDataset(tmp_path / "b")) == [[[1]]]


def test_memory_does_not_grow_with_the_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("reader", "writer"):
        monkeypatch.setattr(f"hydratron.data.indexed.{module}.CHUNK", 1000)
    n = 200_000
    with IndexedDatasetWriter(tmp_path / "a", "u2") as writer:
        writer.add_documents(np.zeros(n, np.uint16), np.ones(n, int), np.ones(n, int))
    tracemalloc.start()
    try:
        merge([tmp_path / "a"] * 5, tmp_path / "merged")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert IndexedDataset(tmp_path / "merged").documents == 5 * n
    # One byte per sequence would be more.
    assert peak < 5 * n
