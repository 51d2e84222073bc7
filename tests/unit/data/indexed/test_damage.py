"""A cut file or a flipped bit: refused at opening or harmless, and always found by the hashes.

Harmless means that every sequence reads as before, in number, type and tokens.  A document boundary
may have moved between its neighbours, which no other byte of the format contradicts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hydratron.data.indexed import IndexedDataset, bin_path, hashes, idx_path, verify
from hydratron.data.indexed.format import HEADER
from hydratron.errors import DataError
from tests.unit.data.indexed.golden import write

pytestmark = pytest.mark.fault

TRIALS = 1000


def _documents(lengths: list[list[int]], top: int = 100) -> list[list[list[int]]]:
    generator = np.random.RandomState(1)
    return [[generator.randint(0, top, n).tolist() for n in document] for document in lengths]


KINDS: dict[str, tuple[str, list[list[list[int]]]]] = {
    "one sequence per document": ("u2", _documents([[n % 7 + 1] for n in range(40)], 60000)),
    "sentences": ("i4", _documents([[3, 8, 5], [1, 1], [9], [4, 2, 6, 7]] * 4, 100000)),
    "empty documents": ("u2", _documents([[], [4, 2], [], [], [7], []])),
    "empty sequences": ("i2", _documents([[0], [3, 0, 0, 2], [0, 0], [5, 0]])),
    "only empty sequences": ("u1", _documents([[0] * 13] * 5)),
    "no document": ("u2", []),
    "eight sequences": ("u2", _documents([[2, 3], [1, 1], [4, 1], [2, 2], []])),
    "int64": ("i8", _documents([[2, 3], [5]])),
    "uint8": ("u1", _documents([[2, 3], [5], [1]])),
    "float32": ("f4", _documents([[2, 3], [5], [1]])),
    "float64": ("f8", _documents([[2, 3], [5], [1]])),
    "multimodal": ("i4", _documents([[2, 3], [5], [1, 1, 1], [2, 2]])),
}


@pytest.fixture(params=KINDS)
def prefix(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    dtype, documents = KINDS[request.param]
    prefix = write(tmp_path / "x", documents, dtype)
    if request.param == "multimodal":
        with idx_path(prefix).open("ab") as file:
            file.write(bytes(len(IndexedDataset(prefix))))
    return prefix


def _read(prefix: Path) -> list[tuple[str, bytes]]:
    """Bytes and type of each sequence; the type of no tokens says nothing."""
    sequences = list(IndexedDataset(prefix))
    return [(one.dtype.str if one.size else "", one.tobytes()) for one in sequences]


def _nothing(_: int) -> None:
    pass


def _flipped(content: bytes, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def _flips(content: bytes) -> list[bytes]:
    """Seeded flips of single bits, of every one where there are fewer than trials."""
    bits = np.random.RandomState(len(content)).permutation(8 * len(content))
    return [_flipped(content, bit) for bit in bits[:TRIALS].tolist()]


@pytest.mark.fault(32)
def test_a_flipped_index_is_refused_or_harmless_and_found_by_its_hash(prefix: Path) -> None:
    original, recorded = _read(prefix), hashes(prefix)
    refused = 0
    for flipped in _flips(idx_path(prefix).read_bytes()):
        idx_path(prefix).write_bytes(flipped)
        try:
            assert _read(prefix) == original
        except DataError:
            refused += 1
        assert verify(prefix, None, recorded, _nothing)
    # Flips of the header alone.
    assert refused > 200


@pytest.mark.fault(31)
def test_a_cut_index_is_refused_or_without_its_modes_and_found_by_its_hash(prefix: Path) -> None:
    original, recorded = _read(prefix), hashes(prefix)
    content = idx_path(prefix).read_bytes()
    entries = len(IndexedDataset(prefix).doc_idx)
    without_modes = HEADER.size + 12 * len(original) + 8 * entries
    for length in range(len(content)):
        idx_path(prefix).write_bytes(content[:length])
        if length == without_modes:
            assert _read(prefix) == original
        else:
            with pytest.raises(DataError):
                IndexedDataset(prefix)
        assert verify(prefix, None, recorded, _nothing)


def test_a_changed_length_or_offset_is_refused(prefix: Path) -> None:
    content = idx_path(prefix).read_bytes()
    bits = np.random.RandomState(1).permutation(8 * 12 * len(IndexedDataset(prefix)))
    for bit in bits[:300].tolist():
        idx_path(prefix).write_bytes(_flipped(content, 8 * HEADER.size + bit))
        with pytest.raises(DataError):
            IndexedDataset(prefix)


def test_a_boundary_that_moved_is_harmless_and_found_by_its_hash(tmp_path: Path) -> None:
    prefix = write(tmp_path / "x", [[[1], [2]], [[3], [4]]])
    recorded = hashes(prefix)
    content = bytearray(idx_path(prefix).read_bytes())
    content[-16] = 3
    original = _read(prefix)
    idx_path(prefix).write_bytes(content)
    assert _read(prefix) == original
    assert IndexedDataset(prefix).doc_idx.tolist() == [0, 3, 4]
    problems = verify(prefix, 10, recorded, _nothing)
    assert [problem.value for problem in problems] == [idx_path(prefix)]


@pytest.mark.fault(31, 32)
def test_a_cut_bin_is_refused_and_a_flipped_one_found_by_its_hash(prefix: Path) -> None:
    content = bin_path(prefix).read_bytes()
    recorded = hashes(prefix)
    for length in range(len(content)):
        bin_path(prefix).write_bytes(content[:length])
        with pytest.raises(DataError):
            IndexedDataset(prefix)
    for flipped in _flips(content):
        bin_path(prefix).write_bytes(flipped)
        problems = verify(prefix, None, recorded, _nothing)
        assert len(problems) == 1
