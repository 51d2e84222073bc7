"""A shard's hash, taken while it is written."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from hydratron.checkpoint import trust
from hydratron.checkpoint.folder import load, save, verify
from hydratron.checkpoint.following import PIECE, followed
from hydratron.checkpoint.manifest import fingerprint
from tests.helpers.disk import full_disk
from tests.helpers.ranks import run_ranks


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("sha256")]


@pytest.mark.parametrize("size", [0, 1, PIECE, 3 * PIECE + 17])
def test_the_hash_is_that_of_the_file(size: int, tmp_path: Path) -> None:
    draw, prints = random.Random(size), dict[str, Any]()
    content = draw.randbytes(size)
    with followed(tmp_path / "a.distcp", prints) as stream:
        begin = 0
        while begin < size:
            end = begin + draw.choice([1, 100, PIECE, PIECE + 1])
            stream.write(content[begin:end])
            begin = end
        os.fsync(stream.fileno())
        stream.close()  # As torch does.
    assert (tmp_path / "a.distcp").read_bytes() == content
    assert prints == {"a.distcp": fingerprint(tmp_path / "a.distcp")}
    assert not threads()


@pytest.mark.fault(16)
def test_a_write_that_fails_leaves_no_thread_and_no_hash(tmp_path: Path) -> None:
    prints: dict[str, Any] = {}
    with (
        full_disk(),
        pytest.raises(OSError, match="too large"),
        followed(tmp_path / "a.distcp", prints) as stream,
    ):
        stream.write(bytes(4 * PIECE))
    assert not prints
    assert not threads()


class Large:
    """Tensors of 3 MB together, one of them of no element."""

    def __init__(self, factor: float) -> None:
        self.tensors = {f"t{n}": torch.full((250 * n, 1000), factor * n) for n in range(3)}

    def state(self) -> dict[str, Any]:
        return dict(self.tensors)

    def load(self, state: Any) -> None:
        pass


def saves(rank: int, ranks: int, folder: Path) -> dict[int, list[str]]:
    files = {}
    trust.CUT = 1 << 20
    for count in (1, 2, 8):
        torch.set_num_threads(count)
        path = folder / f"step_0000000{count}"
        save(path, {"large": Large(1.5)}, count, {})
        files[count] = sorted(name for name in verify(path) if name.endswith(".distcp"))
        again = Large(0.0)
        load(path, {"large": again})
        assert all(torch.equal(a, Large(1.5).tensors[n]) for n, a in again.tensors.items())
    return files


def test_a_large_shard_is_cut_as_far_as_there_are_cores(tmp_path: Path) -> None:
    (files,) = run_ranks(saves, 1, tmp_path)
    assert [len(names) for names in files.values()] == [1, 2, 2]
