"""Texts, lines and rows as streams; whatever is wrong is found with its place."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from hydratron.data.text import records
from hydratron.data.text.files import open_file
from hydratron.data.text.records import line_blocks, parquet_rows, parse_lines, text_chunks
from hydratron.errors import DataError


def ignore(count: int) -> None:
    """For readers that tell how far they are."""


class Bytes:
    """Stands for a Reader that gives `size` bytes at once."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content = content
        self.size = size

    def read(self, size: int = 0) -> bytes:
        given, self.content = self.content[: self.size], self.content[self.size :]
        return given


def lines_of(content: bytes, size: int) -> list[tuple[int, bytes]]:
    return list(line_blocks(Bytes(content, size), Path("a"), size))  # type: ignore[arg-type]


@given(st.text("ab\n").map(str.encode), st.integers(1, 9))
def test_blocks_are_whole_lines_with_their_numbers(content: bytes, size: int) -> None:
    blocks = lines_of(content, size)
    assert b"".join(block for _, block in blocks) == content
    assert all(block.endswith(b"\n") for _, block in blocks[:-1])
    line = 1
    for number, block in blocks:
        assert number == line
        line += block.count(b"\n")


@given(st.text(), st.integers(3, 10))
def test_characters_are_whole_wherever_the_bytes_are_cut(text: str, size: int) -> None:
    text = text.removeprefix("\ufeff")
    for mark in (b"", b"\xef\xbb\xbf"):
        content = Bytes(mark + text.encode(), size)
        assert "".join(text_chunks(content, Path("a.txt"))) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "at"),
    [
        (b"ab\xff", 2),
        (b"\xef\xbb\xbfab\xffc", 5),
        (b"a" * 99 + b"\xc3\xa9\xc3", 101),
        (b"\xe2\x82x", 0),
    ],
)
def test_a_text_that_is_not_utf8_names_the_byte(content: bytes, at: int) -> None:
    for size in (3, 4, 1000):
        with pytest.raises(DataError) as caught:
            list(text_chunks(Bytes(content, size), Path("a.txt")))  # type: ignore[arg-type]
        assert str(caught.value) == f"a.txt: not UTF-8 at byte {at}; convert it to UTF-8"


def parse(content: bytes, *keys: str, first: int = 1) -> list[tuple[str, ...]]:
    return list(parse_lines(Path("a.jsonl"), first, content, keys or ("text",)))


def test_every_line_gives_the_texts_of_its_keys() -> None:
    content = b'\xef\xbb\xbf{"text": "one\\n", "b": "x"}\r\n\n  \n{"b": "", "text": null}'
    assert parse(content) == [("one\n",), ("",)]
    assert parse(content, "b", "text") == [("x", "one\n"), ("", "")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": ', "not a JSON object: Expecting value"),
        (b'"x"', "each line must be a JSON object such as"),
        (b'{"body": "x", "a": 1}', "no key 'text' (keys: a, body); choose one with --key"),
        (b"{}", "no key 'text' (keys: none)"),
        (b'{"text": "a", "b": {}, "text": "c"}', "has the key 'text' 2 times"),
        (b'{"text": 1}', "the value of 'text' must be a string"),
        (b'{"text": "\\ud800"}', "the value of 'text' has half of a surrogate pair"),
        (b'{"text": "\xff"}', "not UTF-8 at byte 10; convert it to UTF-8"),
        (b'{"text": ' + b"[" * 100_000, "not a JSON object: "),
    ],
)
def test_a_broken_line_is_named(line: bytes, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(b'{"text": "fine"}\n\n' + line + b'\n{"text": "fine"}', first=41)
    assert str(caught.value).startswith(f"a.jsonl:43: {reason}")


def test_a_key_inside_is_not_a_second_one() -> None:
    assert parse(b'{"text": "a", "b": {"text": "c"}, "d": ["text", "text"]}') == [("a",)]


def table(path: Path, **columns: object) -> Path:
    parquet.write_table(pyarrow.table(columns), path, row_group_size=3)
    return path


def test_rows_are_read_in_order_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_ROWS", 4)
    texts = [f"text {i}" for i in range(10)]
    title = pyarrow.array(["a", None] * 5).dictionary_encode()
    path = table(tmp_path / "a.parquet", text=texts, id=list(range(10)), title=title)
    told: list[int] = []
    assert list(parquet_rows(path, ["text"], told.append)) == [(text,) for text in texts]
    assert sum(told) == path.stat().st_size
    rows = list(parquet_rows(path, ["title", "text"], ignore))
    assert rows == list(zip(["a", ""] * 5, texts, strict=True))


def test_rows_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", text=["x"], id=[1])
    with pytest.raises(DataError) as caught:
        list(parquet_rows(path, ["body"], ignore))
    assert str(caught.value) == f"{path}: no column 'body' (columns: text, id); {records.CHOICE}"
    with pytest.raises(DataError, match=r"the column 'id' holds int64, not strings"):
        list(parquet_rows(path, ["id"], ignore))

    twice = pyarrow.table([["x"], ["y"], [1]], names=["text", "text", "id"])
    parquet.write_table(twice, path)
    with pytest.raises(DataError) as caught:
        list(parquet_rows(path, ["text"], ignore))
    assert str(caught.value) == f"{path}: has 2 columns 'text'; rename all but one"

    broken = pyarrow.array([b"fine", b"x\xff"]).view(pyarrow.string())
    path = table(tmp_path / "b.parquet", text=broken)
    with pytest.raises(DataError) as caught:
        list(parquet_rows(path, ["text"], ignore))
    assert str(caught.value) == f"{path}, row 2: the value of 'text' is not UTF-8 at byte 1"


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", text=["x" * 100] * 50)
    content = path.read_bytes()
    for wrong in (b"", b"text", content[:-20]):
        path.write_bytes(wrong)
        with pytest.raises(DataError, match=rf"{path}: cannot be read: "):
            list(parquet_rows(path, ["text"], ignore))


def test_the_reader_of_files_is_such_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("é".encode() * 10)
    with open_file(path, ignore) as reader:
        assert list(text_chunks(reader, path)) == ["é" * 10]
