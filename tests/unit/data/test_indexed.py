"""The token file format: golden bytes, round trips, and what is refused."""

from __future__ import annotations

import pickle
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.data.indexed import (
    HEADER,
    LEGACY_MAGIC,
    MAGIC,
    IndexedDataset,
    IndexedDatasetWriter,
    bin_path,
    idx_path,
    token_dtype,
)
from hydratron.errors import DataError

DOCUMENTS = [[[1, 2, 3], [4]], [[5, 6]]]
GOLDEN_IDX = bytes.fromhex(
    "4d4d4944494458000001000000000000000803000000000000000300000000000000030000000100000002000000"
    "000000000000000006000000000000000800000000000000"
    "000000000000000002000000000000000300000000000000"
)
GOLDEN_BIN = bytes.fromhex("010002000300040005000600")


def write(prefix: Path, documents: Any = DOCUMENTS, dtype: str = "u2") -> Path:
    with IndexedDatasetWriter(prefix, dtype) as writer:
        for document in documents:
            writer.add_document(document)
    return prefix


def write_raw(prefix: Path, idx: bytes, bin: bytes = GOLDEN_BIN) -> Path:
    idx_path(prefix).write_bytes(idx)
    bin_path(prefix).write_bytes(bin)
    return prefix


def test_writes_the_golden_bytes(tmp_path: Path) -> None:
    prefix = write(tmp_path / "corpus.v1")
    assert idx_path(prefix).read_bytes() == GOLDEN_IDX
    assert bin_path(prefix).read_bytes() == GOLDEN_BIN
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.v1.bin", "corpus.v1.idx"]


def test_adding_sequence_by_sequence_is_the_same(tmp_path: Path) -> None:
    with IndexedDatasetWriter(tmp_path / "x", np.uint16) as writer:
        for document in DOCUMENTS:
            for sequence in document:
                writer.add(np.array(sequence))
            writer.end_document()
    assert idx_path(tmp_path / "x").read_bytes() == GOLDEN_IDX


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


@settings(deadline=None)
@given(
    documents=st.lists(st.lists(st.lists(st.integers(0, 100), max_size=5), max_size=3), max_size=5),
    dtype=st.sampled_from(["u1", "i1", "i2", "i4", "i8", "f8", "u2"]),
)
def test_round_trip_in_every_type(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[list[int]]], dtype: str
) -> None:
    prefix = write(tmp_path_factory.mktemp("round") / "x", documents, dtype)
    dataset = pickle.loads(pickle.dumps(IndexedDataset(prefix)))
    assert dataset.dtype == np.dtype(dtype)
    starts = dataset.doc_idx.tolist()
    read = [[dataset[i].tolist() for i in range(first, last)] for first, last in pairwise(starts)]
    assert read == documents


@pytest.mark.parametrize("float_type", ["<f4", "<f8"])
def test_the_ambiguous_float_code_follows_the_size_of_the_bin(
    tmp_path: Path, float_type: str
) -> None:
    idx = bytearray(GOLDEN_IDX)
    width = np.dtype(float_type).itemsize
    idx[17] = 7
    idx[46:70] = struct.pack("<3q", 0, 3 * width, 4 * width)
    content = np.arange(1, 7, dtype=float_type).tobytes()
    dataset = IndexedDataset(write_raw(tmp_path / "x", bytes(idx), content))
    assert dataset.dtype == np.dtype(float_type)
    assert dataset[2].tolist() == [5.0, 6.0]


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
def test_a_damaged_index_is_refused(
    tmp_path: Path, position: int, replacement: bytes, reason: str
) -> None:
    idx = bytearray(GOLDEN_IDX)
    idx[position : position + len(replacement)] = replacement
    with pytest.raises(DataError, match=reason) as caught:
        IndexedDataset(write_raw(tmp_path / "x", bytes(idx)))
    assert str(caught.value).startswith(f"token file={tmp_path / 'x.idx'}: ")


@pytest.mark.parametrize("length", [0, 8, 20, 33, 34, 93, 95])
def test_a_cut_index_is_refused(tmp_path: Path, length: int) -> None:
    content = (GOLDEN_IDX + b"\x00")[:length]
    with pytest.raises(DataError):
        IndexedDataset(write_raw(tmp_path / "x", content))


def test_an_empty_document_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not run from 0 to 0"):
        IndexedDataset(write_raw(tmp_path / "x", HEADER.pack(MAGIC, 1, 8, 0, 0), b""))


@pytest.mark.parametrize("missing", [bin_path, idx_path])
def test_a_missing_file_is_named(tmp_path: Path, missing: Any) -> None:
    prefix = write(tmp_path / "x")
    missing(prefix).unlink()
    with pytest.raises(DataError, match=f"{missing(prefix)}: cannot be read: No such file"):
        IndexedDataset(prefix)


def test_an_error_leaves_no_file_and_keeps_the_old_ones(tmp_path: Path) -> None:
    write(tmp_path / "old")
    with (
        pytest.raises(ValueError, match="do not fit"),
        IndexedDatasetWriter(tmp_path / "old", "u2") as writer,
    ):
        writer.add_document([[9], [-1]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.bin", "old.idx"]
    assert IndexedDataset(tmp_path / "old")[0].tolist() == [1, 2, 3]


def test_an_unended_document_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="not ended"),
        IndexedDatasetWriter(tmp_path / "x", "u2") as writer,
    ):
        writer.add([1])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tokens", [[65536], [-1], [1.5], [[1]], np.array([70000])])
def test_tokens_that_do_not_fit_are_refused(tmp_path: Path, tokens: Any) -> None:
    with (
        pytest.raises(ValueError, match=r"fit uint16|one dimension"),
        IndexedDatasetWriter(tmp_path / "x", "u2") as writer,
    ):
        writer.add(tokens)


def test_a_type_without_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no code"):
        IndexedDatasetWriter(tmp_path / "x", "f4")


def test_the_token_type_changes_at_65500_entries() -> None:
    assert token_dtype(65499) == np.uint16
    assert token_dtype(65500) == np.int32
