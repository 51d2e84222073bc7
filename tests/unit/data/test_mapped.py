"""Mapped files: their bytes, and what the process holds open for them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hydratron.data.mapped import mapped, mapped_npy

MAPS = Path("/proc/self/maps")


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_map_is_the_file_and_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)) * 100)
    array = mapped(path)
    assert array.tobytes() == path.read_bytes()
    with pytest.raises(ValueError, match="read-only"):
        array.view("<u2")[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


def test_maps_hold_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    np.save(tmp_path / "b.npy", np.arange(9))
    before = open_files()
    held = [(mapped(tmp_path / "a"), mapped_npy(tmp_path / "b.npy")) for _ in range(20)]
    assert open_files() == before
    assert all(array.tobytes() == b"abc" for array, _ in held)


@pytest.mark.skipif(not MAPS.exists(), reason="needs Linux to list the maps")
def test_the_last_view_ends_the_map(tmp_path: Path) -> None:
    path = tmp_path / "mapped-here"
    path.write_bytes(b"0123456789")
    array = mapped(path)
    view = array[2:6].view("<u2")
    del array
    assert view.tobytes() == b"2345"
    assert str(path) in MAPS.read_text()
    del view
    assert str(path) not in MAPS.read_text()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype="<i8").reshape(3, 4), np.asfortranarray(np.eye(3)),
        np.array([], np.int16), np.array(7),
    ],
    ids=["rows", "columns", "empty", "number"],
)  # fmt: skip
def test_an_npy_file_is_its_array(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array)
    found = mapped_npy(path)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert np.array_equal(found, array)
    assert np.isfortran(found) == np.isfortran(array)


def test_what_is_no_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(100))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="reshape"):
        mapped_npy(path)
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises((TypeError, ValueError)):
        mapped_npy(path)
    for name in ("none", "."):
        with pytest.raises(OSError, match=name):
            mapped(tmp_path / name)
