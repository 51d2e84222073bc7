"""The files of both sides are the same: megatron-core reads ours, and we read its own."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hydratron.data.indexed import IndexedDataset, bin_path, idx_path, merge
from tests.helpers.megatron import megatron
from tests.unit.data.indexed.golden import DOCUMENTS, read_documents, write

NUMPY_TYPES = [
    np.uint8,
    np.int8,
    np.int16,
    np.int32,
    np.int64,
    np.float64,
    np.float32,
    np.uint16,
]
CORPUS = [*DOCUMENTS, [[7]], [[8, 9], [10], [11, 12, 13]], [[], [14]], []]


@pytest.fixture(scope="module")
def core() -> Any:
    return megatron("indexed_dataset")


def _build(core: Any, prefix: Path, documents: Any, dtype: Any) -> Path:
    builder = core.IndexedDatasetBuilder(str(bin_path(prefix)), dtype=dtype)
    for document in documents:
        for sequence in document:
            builder.add_item(torch.tensor(sequence, dtype=torch.int64))
        builder.end_document()
    builder.finalize(str(idx_path(prefix)))
    return prefix


def _same_bytes(one: Path, other: Path) -> bool:
    return all(path(one).read_bytes() == path(other).read_bytes() for path in (bin_path, idx_path))


@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_megatron_reads_our_files(core: Any, tmp_path: Path, dtype: Any) -> None:
    prefix = write(tmp_path / "ours", CORPUS, np.dtype(dtype).str)
    theirs = core.IndexedDataset(str(prefix))
    ours = IndexedDataset(prefix)
    assert len(theirs) == len(ours) == 9
    assert theirs.document_indices.tolist() == ours.doc_idx.tolist()
    assert theirs.sequence_lengths.tolist() == ours.sizes.tolist()
    for i in range(len(ours)):
        assert theirs[i].dtype == ours[i].dtype == dtype
        assert theirs[i].tolist() == ours[i].tolist()
        assert theirs.get(i, 0, len(ours[i])).tolist() == ours.get(i).tolist()
    starts = theirs.document_indices.tolist()
    read = [[theirs[i].tolist() for i in range(a, b)] for a, b in pairwise(starts)]
    assert read == CORPUS


@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_we_read_megatrons_files_and_write_the_same_bytes(
    core: Any, tmp_path: Path, dtype: Any
) -> None:
    theirs = _build(core, tmp_path / "theirs", CORPUS, dtype)
    dataset = IndexedDataset(theirs)
    assert dataset.dtype == dtype
    assert read_documents(dataset) == CORPUS
    assert _same_bytes(write(tmp_path / "ours", CORPUS, np.dtype(dtype).str), theirs)


def test_merging_gives_megatrons_bytes(core: Any, tmp_path: Path) -> None:
    parts = [_build(core, tmp_path / f"part{i}", CORPUS[i : i + 3], np.int32) for i in range(4)]
    theirs = tmp_path / "theirs"
    builder = core.IndexedDatasetBuilder(str(bin_path(theirs)), dtype=np.int32)
    for part in parts:
        builder.add_index(str(part))
    builder.finalize(str(idx_path(theirs)))
    merge(parts, tmp_path / "ours")
    assert _same_bytes(tmp_path / "ours", theirs)


def test_a_multimodal_file_of_megatron_is_read(core: Any, tmp_path: Path) -> None:
    prefix = tmp_path / "theirs"
    builder = core.IndexedDatasetBuilder(str(bin_path(prefix)), np.int32, multimodal=True)
    for sequence, mode in (([1, 2], 0), ([3], 1)):
        builder.add_item(torch.tensor(sequence), mode)
    builder.end_document()
    builder.finalize(str(idx_path(prefix)))
    assert read_documents(IndexedDataset(prefix)) == [[[1, 2], [3]]]
