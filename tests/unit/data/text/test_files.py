"""Which files are found, and their bytes: unpacked, hashed and counted."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from hydratron.data.text.files import InputFile, input_sha256, kind_of, open_file
from hydratron.errors import DataError
from tests.unit.data.text.packing import PACK

CONTENT = random.Random(0).randbytes(1_200_000)
PACKED = sorted(set(PACK) - {""})


def read(path: Path, size: int) -> tuple[bytes, str, int]:
    """Content, hash, and the bytes that were announced."""
    announced: list[int] = []
    with open_file(path, announced.append) as reader:
        content = b"".join(iter(lambda: reader.read(size), b""))
        return content, reader.sha256(), sum(announced)


@pytest.mark.parametrize("suffix", PACK)
def test_a_file_is_unpacked_and_hashed_as_it_lies(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    packed = PACK[suffix](CONTENT)
    path.write_bytes(packed)
    expected = CONTENT, hashlib.sha256(packed).hexdigest(), len(packed)
    assert read(path, 1 << 20) == expected
    assert read(path, 12345) == expected
    assert input_sha256(path, lambda _: None) == expected[1]


@pytest.mark.parametrize("suffix", PACKED)
def test_members_after_the_first_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(b"".join(PACK[suffix](part) for part in (b"one", b"", b"two")))
    assert read(path, 100)[0] == b"onetwo"


@pytest.mark.parametrize("suffix", PACK)
def test_an_empty_content_is_empty(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(PACK[suffix](b""))
    assert read(path, 100)[0] == b""


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("share", [0.3, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    packed = PACK[suffix](CONTENT)
    path.write_bytes(packed[: int(len(packed) * share)])
    with pytest.raises(DataError) as caught:
        read(path, 1 << 20)
    assert str(caught.value) == f"{path}: ends too early; the file is truncated"


@pytest.mark.parametrize("suffix", PACKED)
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(b"not packed at all, but quite long")
    with pytest.raises(DataError) as caught:
        read(path, 100)
    assert str(caught.value).startswith(f"{path}: cannot be read: ")


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{tmp_path}/a.txt: cannot be read: No such file"):
        read(tmp_path / "a.txt", 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", ".txt"), ("a.b.jsonl.xz", ".jsonl"), ("a.txt.zst", ".txt"),
        ("a.jsonl.gz", ".jsonl"), ("A.JSONL.GZ", ".jsonl"), ("A.Txt", ".txt"),
        ("a.parquet", ".parquet"),
        ("a.parquet.gz", ""), ("a.csv", ""), ("a.gz", ""), ("txt", ""),
    ],
)  # fmt: skip
def test_the_name_says_what_is_in_a_file(name: str, kind: str) -> None:
    assert kind_of(Path(name)) == InputFile(name, Path(name)).kind == kind
