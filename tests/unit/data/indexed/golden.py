"""The golden files of the format, and how the tests write and read others."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter, bin_path, idx_path

DOCUMENTS = [[[1, 2, 3], [4]], [[5, 6]]]
GOLDEN_IDX = bytes.fromhex(
    "4d4d4944494458000001000000000000000803000000000000000300000000000000030000000100000002000000"
    "000000000000000006000000000000000800000000000000"
    "000000000000000002000000000000000300000000000000"
)
GOLDEN_BIN = bytes.fromhex("010002000300040005000600")
TYPES = ["u1", "i1", "i2", "i4", "i8", "f8", "f4", "u2"]


def write(prefix: Path, documents: Any = DOCUMENTS, dtype: str = "u2") -> Path:
    with IndexedDatasetWriter(prefix, dtype) as writer:
        for document in documents:
            writer.add_document(document)
    return prefix


def write_raw(prefix: Path, idx: bytes, bin: bytes = GOLDEN_BIN) -> Path:
    idx_path(prefix).write_bytes(idx)
    bin_path(prefix).write_bytes(bin)
    return prefix


def read_documents(dataset: IndexedDataset) -> list[list[list[int]]]:
    starts = dataset.doc_idx.tolist()
    return [[dataset[i].tolist() for i in range(first, last)] for first, last in pairwise(starts)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
