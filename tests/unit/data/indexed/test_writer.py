"""Writing token files: the golden bytes, round trips, and that nothing half-written stays."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter, bin_path, idx_path
from tests.unit.data.indexed.golden import (
    DOCUMENTS,
    GOLDEN_BIN,
    GOLDEN_IDX,
    TYPES,
    names,
    read_documents,
    write,
)


def test_writes_the_golden_bytes(tmp_path: Path) -> None:
    prefix = write(tmp_path / "corpus.v1")
    assert idx_path(prefix).read_bytes() == GOLDEN_IDX
    assert bin_path(prefix).read_bytes() == GOLDEN_BIN
    assert names(tmp_path) == ["corpus.v1.bin", "corpus.v1.idx"]


def test_adding_sequence_by_sequence_is_the_same(tmp_path: Path) -> None:
    with IndexedDatasetWriter(tmp_path / "x", np.uint16) as writer:
        for document in DOCUMENTS:
            for sequence in document:
                writer.add(np.array(sequence))
            writer.end_document()
        assert (writer.sequences, writer.documents) == (3, 2)
    assert idx_path(tmp_path / "x").read_bytes() == GOLDEN_IDX


def test_adding_many_documents_at_once_is_the_same(tmp_path: Path) -> None:
    with IndexedDatasetWriter(tmp_path / "x", np.uint16) as writer:
        writer.add_documents(np.arange(1, 7), np.array([3, 1, 2]), np.array([2, 1]))
        assert (writer.sequences, writer.documents) == (3, 2)
    assert idx_path(tmp_path / "x").read_bytes() == GOLDEN_IDX
    assert bin_path(tmp_path / "x").read_bytes() == GOLDEN_BIN


@st.composite
def typed_documents(draw: st.DrawFn) -> tuple[str, list[list[Any]]]:
    """Documents over the whole range of a type."""
    dtype = draw(st.sampled_from(TYPES))
    elements = {"allow_nan": False} if dtype[0] == "f" else {}
    sequence = arrays.arrays(np.dtype(dtype), st.integers(0, 5), elements=elements)
    return dtype, draw(st.lists(st.lists(sequence, max_size=3), max_size=5))


@given(typed_documents(), st.booleans(), st.sampled_from([1, 2, 1 << 20]))
def test_round_trip_in_every_type(
    tmp_path_factory: pytest.TempPathFactory,
    typed: tuple[str, list[list[Any]]],
    bulk: bool,
    chunk: int,
) -> None:
    dtype, documents = typed
    prefix = tmp_path_factory.mktemp("round") / "x"
    sequences = [sequence for document in documents for sequence in document]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hydratron.data.indexed.writer.CHUNK", chunk)
        patch.setattr("hydratron.data.indexed.reader.CHUNK", chunk)
        if bulk:
            sizes = np.array([len(sequence) for sequence in sequences], int)
            counts = np.array([len(document) for document in documents], int)
            tokens = np.concatenate([np.empty(0, dtype), *sequences])
            # A third of the documents first: calls of the bulk path and single ones mix.
            early = len(documents) // 3
            middle = int(counts[:early].sum())
            with IndexedDatasetWriter(prefix, dtype) as writer:
                for document in documents[:early]:
                    writer.add_document(document)
                rest = tokens[sizes[:middle].sum() :]
                writer.add_documents(rest, sizes[middle:], counts[early:])
        else:
            write(prefix, documents, dtype)
        dataset = pickle.loads(pickle.dumps(IndexedDataset(prefix)))
    assert dataset.dtype == np.dtype(dtype)
    expected = [[sequence.tolist() for sequence in document] for document in documents]
    assert read_documents(dataset) == expected
    assert len(dataset) == len(sequences)
    assert dataset.documents == len(documents)
    assert dataset.tokens == sum(len(sequence) for sequence in sequences)


def test_an_error_leaves_no_file_and_keeps_the_old_ones(tmp_path: Path) -> None:
    write(tmp_path / "old")
    with (
        pytest.raises(ValueError, match="do not fit"),
        IndexedDatasetWriter(tmp_path / "old", "u2") as writer,
    ):
        writer.add_document([[9], [-1]])
    assert names(tmp_path) == ["old.bin", "old.idx"]
    assert IndexedDataset(tmp_path / "old")[0].tolist() == [1, 2, 3]


def test_an_old_index_never_stands_beside_new_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = write(tmp_path / "x")
    moved: list[str] = []

    def record(_: str, target: Path) -> None:
        moved.append(target.name)
        assert "x.idx" not in names(tmp_path)

    monkeypatch.setattr("os.replace", record)
    write(prefix, [[[7, 8, 9], [10]], [[11, 12]]])
    assert moved == ["x.bin", "x.idx"]


def test_an_unended_document_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="not ended"),
        IndexedDatasetWriter(tmp_path / "x", "u2") as writer,
    ):
        writer.add([1])
    assert not names(tmp_path)


@pytest.mark.parametrize(
    ("tokens", "sizes", "counts", "reason"),
    [
        ([1, 2], [1], [1], "2 tokens, but the lengths add up to 1"),
        ([1, 2], [1, 1], [1], "2 sequences, but the documents have 1"),
        ([1, 2], [3, -1], [2], "negative"),
        ([1, 2], [1, 1], [3, -1], "negative"),
        ([1, 70000], [1, 1], [2], "fit uint16"),
        ([], [2**31, -(2**31)], [2], "negative"),
    ],
)
def test_documents_that_do_not_add_up_are_refused(
    tmp_path: Path, tokens: list[int], sizes: list[int], counts: list[int], reason: str
) -> None:
    with (
        pytest.raises(ValueError, match=reason),
        IndexedDatasetWriter(tmp_path / "x", "u2") as writer,
    ):
        writer.add_documents(tokens, np.array(sizes), np.array(counts))
    assert not names(tmp_path)


def test_many_documents_do_not_join_an_open_one(tmp_path: Path) -> None:
    with IndexedDatasetWriter(tmp_path / "x", "u2") as writer:
        writer.add([1])
        with pytest.raises(ValueError, match="not ended"):
            writer.add_documents([2], np.array([1]), np.array([1]))
        writer.end_document()
    assert read_documents(IndexedDataset(tmp_path / "x")) == [[[1]]]


@pytest.mark.parametrize("tokens", [[65536], [-1], [1.5], [[1]], np.array([70000])])
def test_tokens_that_do_not_fit_are_refused(tmp_path: Path, tokens: Any) -> None:
    with (
        pytest.raises(ValueError, match=r"fit uint16|one dimension"),
        IndexedDatasetWriter(tmp_path / "x", "u2") as writer,
    ):
        writer.add(tokens)


@pytest.mark.parametrize("token", [2**24 + 1, -(2**24) - 1])
def test_integers_that_a_float_would_round_are_refused(tmp_path: Path, token: int) -> None:
    with (
        pytest.raises(ValueError, match="fit float32"),
        IndexedDatasetWriter(tmp_path / "x", "f4") as writer,
    ):
        writer.add([token])
    with IndexedDatasetWriter(tmp_path / "y", "f8") as writer:
        writer.add_document([[token]])
    assert IndexedDataset(tmp_path / "y")[0].tolist() == [token]


def test_a_sequence_longer_than_the_format_counts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydratron.data.indexed.writer.LONGEST", 3)
    with (
        pytest.raises(ValueError, match="a sequence of 4 tokens; at most 3"),
        IndexedDatasetWriter(tmp_path / "x", "u2") as writer,
    ):
        writer.add_document([[1, 2, 3], [1, 2, 3, 4]])


def test_a_type_without_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no code"):
        IndexedDatasetWriter(tmp_path / "x", "f2")


def test_memory_does_not_grow_with_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydratron.data.indexed.writer.CHUNK", 1000)
    one = np.ones(1000, int)
    tracemalloc.start()
    try:
        with IndexedDatasetWriter(tmp_path / "x", "u2") as writer:
            for _ in range(1000):
                writer.add_documents(one, one, one)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert IndexedDataset(tmp_path / "x").documents == 1_000_000
    # The index alone has 20 bytes for each.
    assert peak < 1_000_000
