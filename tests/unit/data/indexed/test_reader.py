"""Reading token files: the golden bytes, where things are, and what is refused."""

from __future__ import annotations

import struct
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
)
from hydratron.data.indexed.format import HEADER, LEGACY_MAGIC, MAGIC
from hydratron.errors import DataError
from tests.unit.data.indexed.golden import GOLDEN_IDX, write, write_raw


def test_reads_the_golden_bytes(tmp_path: Path) -> None:
    dataset = IndexedDataset(write_raw(tmp_path / "x", GOLDEN_IDX))
    assert [sequence.tolist() for sequence in dataset] == [[1, 2, 3], [4], [5, 6]]
    assert (len(dataset), dataset.documents, dataset.tokens) == (3, 2, 6)
    assert dataset.sizes.tolist() == [3, 1, 2]
    assert dataset.doc_idx.tolist() == [0, 2, 3]
    assert dataset[-1].tolist() == [5, 6]
    assert dataset.get(0, 1).tolist() == [2, 3]
    assert dataset.get(0, 1, 1).tolist() == [2]
    assert not dataset[0].flags.writeable


@pytest.mark.parametrize(
    "arguments", [(3,), (-4,), (0, -1), (0, 4), (0, 0, 4), (0, 2, 2), (0, 0, -1)]
)
def test_reading_outside_a_sequence_is_an_index_error(
    tmp_path: Path, arguments: tuple[int, ...]
) -> None:
    dataset = IndexedDataset(write(tmp_path / "x"))
    with pytest.raises(IndexError):
        dataset.get(*arguments)


@given(st.lists(st.lists(st.lists(st.just(7), max_size=3), max_size=3), max_size=6))
def test_every_sequence_and_token_is_found(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[list[int]]]
) -> None:
    dataset = IndexedDataset(write(tmp_path_factory.mktemp("find") / "x", documents))
    owners = [d for d, document in enumerate(documents) for _ in document]
    assert [dataset.document_of(i) for i in range(len(dataset))] == owners
    sequences = [sequence for document in documents for sequence in document]
    places = [(i, offset) for i, tokens in enumerate(sequences) for offset in range(len(tokens))]
    assert [dataset.sequence_at(token) for token in range(dataset.tokens)] == places
    for outside in (-1, len(dataset)):
        with pytest.raises(IndexError):
            dataset.document_of(outside)
    for outside in (-1, dataset.tokens):
        with pytest.raises(IndexError):
            dataset.sequence_at(outside)


@pytest.mark.parametrize("float_type", ["<f4", "<f8"])
def test_the_ambiguous_float_code_follows_the_size_of_the_bin(
    tmp_path: Path, float_type: str
) -> None:
    idx = bytearray(GOLDEN_IDX)
    width = np.dtype(float_type).itemsize
    idx[17] = 7
    idx[46:70] = struct.pack("<3q", 0, 3 * width, 4 * width)
    content = np.arange(6, dtype=float_type).tobytes()
    dataset = IndexedDataset(write_raw(tmp_path / "x", bytes(idx), content))
    assert dataset.dtype == np.dtype(float_type)
    assert dataset[2].tolist() == [4.0, 5.0]


@pytest.mark.parametrize("documents", [[[[0, 0], [3]]], [[[0, -3], [4]]]])
def test_integers_under_the_ambiguous_float_code_are_refused(
    tmp_path: Path, documents: list[list[list[int]]]
) -> None:
    prefix = write(tmp_path / "x", documents, "i8")
    idx = bytearray(idx_path(prefix).read_bytes())
    assert idx[17] == 5
    idx[17] = 7
    idx_path(prefix).write_bytes(idx)
    with pytest.raises(DataError, match="type code 7 of floats, but the tokens are integers"):
        IndexedDataset(prefix)


def test_a_multimodal_index_is_read(tmp_path: Path) -> None:
    dataset = IndexedDataset(write_raw(tmp_path / "x", GOLDEN_IDX + b"\x00\x01\x00"))
    assert dataset[2].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("position", "replacement", "reason"),
    [
        (0, b"XX", "an MMIDIDX index starts with"),
        (0, LEGACY_MAGIC, "the older TNTIDX format is not read"),
        (9, b"\x02", "version 2; only version 1"),
        (17, b"\x09", "type code 9"),
        (17, b"\x04", "6 tokens of int32 announced, but x.bin holds 12 bytes"),
        (18, b"\x04", "94 bytes, but its header announces 106"),
        (34, b"\xff\xff\xff\xff", "negative length"),
        (34, b"\x02", "5 tokens of uint16 announced"),
        (34, b"\x02\x00\x00\x00\x02", "byte offsets do not follow"),
        (54, b"\x07", "byte offsets do not follow"),
        (70, b"\x01", "does not run from 0 to 3"),
        (78, b"\x04", "document index decreases"),
        (86, b"\x02", "does not run from 0 to 3"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 1 << 20])
def test_a_damaged_index_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    position: int,
    replacement: bytes,
    reason: str,
    chunk: int,
) -> None:
    monkeypatch.setattr("hydratron.data.indexed.reader.CHUNK", chunk)
    idx = bytearray(GOLDEN_IDX)
    idx[position : position + len(replacement)] = replacement
    with pytest.raises(DataError, match=reason) as caught:
        IndexedDataset(write_raw(tmp_path / "x", bytes(idx)))
    assert str(caught.value).startswith(f"token file={tmp_path / 'x.idx'}: ")


def test_an_empty_document_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not run from 0 to 0"):
        IndexedDataset(write_raw(tmp_path / "x", HEADER.pack(MAGIC, 1, 8, 0, 0), b""))


@pytest.mark.parametrize("missing", [bin_path, idx_path])
def test_a_missing_file_is_named(tmp_path: Path, missing: Any) -> None:
    prefix = write(tmp_path / "x")
    missing(prefix).unlink()
    with pytest.raises(DataError, match=f"{missing(prefix)}: cannot be read: No such file"):
        IndexedDataset(prefix)


def test_opening_and_reading_copy_nothing_that_grows_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydratron.data.indexed.reader.CHUNK", 1000)
    n = 300_000
    with IndexedDatasetWriter(tmp_path / "x", "u2") as writer:
        writer.add_documents(np.arange(n) % 100, np.ones(n, int), np.ones(n, int))
    tracemalloc.start()
    try:
        dataset = IndexedDataset(tmp_path / "x")
        found = [dataset.document_of(n - 1), dataset.sequence_at(n - 1), dataset[n - 1].tolist()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == [n - 1, (n - 1, 0), [99]]
    # One byte per sequence would be more.
    assert peak < n
