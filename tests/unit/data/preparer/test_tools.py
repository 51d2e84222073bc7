"""Tokens checked and merged, as folders and as bare pairs of files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter
from hydratron.data.manifest import read_manifest
from hydratron.data.preparer.merging import merge_paths
from hydratron.data.preparer.verifying import Checked, verify_paths
from hydratron.data.tokenizer import Tokenizer, train_bpe
from hydratron.errors import DataError
from hydratron.job import read_json, write_json
from tests.helpers.prepared import Document, prepared_folder
from tests.unit.data.conftest import sentence

BPE = train_bpe([sentence(i) for i in range(60)], 300)
ONE: list[Document] = [[[1, 2], [3]], [[4]]]
TWO: list[Document] = [[[5, 6]], [[7], [8]]]


def folder(path: Path, documents: Sequence[Document], **options: str) -> Path:
    """A prepared folder with a tokenizer that fits its manifest."""
    options = {"tokenizer": BPE.to_json(), **options}
    prepared_folder(path, {"text_document": documents}, 300, **options)
    manifest = read_json(path / "manifest.json")
    assert manifest is not None
    manifest["tokenizer"]["sha256"] = Tokenizer.load(path / "tokenizer.json").sha256
    write_json(path / "manifest.json", manifest)
    return path


def pair(prefix: Path, documents: Sequence[Document], dtype: str = "<u2") -> Path:
    with IndexedDatasetWriter(prefix, dtype) as writer:
        for document in documents:
            writer.add_document(document)
    return prefix


def contents(prefix: Path) -> list[list[list[int]]]:
    dataset = IndexedDataset(prefix)
    starts = dataset.doc_idx.tolist()
    return [[dataset[i].tolist() for i in range(first, last)] for first, last in pairwise(starts)]


def check(*paths: Path, vocab_size: int | None = None) -> list[Checked]:
    return list(verify_paths([str(path) for path in paths], vocab_size, progress=False))


def test_whole_tokens_are_as_they_should_be(tmp_path: Path) -> None:
    first, bare = folder(tmp_path / "a", ONE), pair(tmp_path / "b" / "c", TWO)
    for paths in ([first, bare], [first / "text_document", tmp_path / "b" / "c.bin"]):
        checked = check(*paths)
        assert [len(one.problems) for one in checked] == [0, 0]
        assert checked[0].counts == "2 documents, 3 sequences, 4 tokens"
        assert checked[1].prefix.name == "c"


def test_a_changed_token_is_found_by_the_hash(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", ONE)
    file = first / "text_document.bin"
    file.write_bytes(b"\x07" + file.read_bytes()[1:])
    for path in (first, first / "text_document"):
        (checked,) = check(path)
        (problem,) = checked.problems
        assert str(problem).startswith(f"token file={file}: its sha256 is ")


def test_tokens_outside_the_vocabulary_are_found(tmp_path: Path) -> None:
    first, bare = folder(tmp_path / "a", [[[300]]]), pair(tmp_path / "b", TWO)
    assert "token 300 is outside the vocabulary of 300" in str(check(first)[0].problems[0])
    assert check(bare)[0].problems == []
    assert "token 8 is outside the vocabulary of 8" in str(check(bare, vocab_size=8)[0].problems[0])


def test_another_tokenizer_is_found(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", ONE)
    file = first / "tokenizer.json"
    file.write_text(file.read_text().replace('"add_prefix_space":false', '"add_prefix_space":true'))
    (checked,) = check(first)
    assert str(checked.problems[0]).endswith("is not the one that made the tokens")
    file.write_text("{}")
    assert "cannot be read as a tokenizer" in str(check(first)[0].problems[0])


def test_files_that_are_missing_or_cut_are_found(tmp_path: Path) -> None:
    first, bare = folder(tmp_path / "a", ONE), pair(tmp_path / "b", TWO)
    (first / "text_document.idx").unlink()
    bare.with_suffix(".bin").write_bytes(b"")
    assert all(one.problems for one in check(first, bare))
    with pytest.raises(DataError, match=r"--verify=.*none: neither a prepared folder, nor"):
        check(tmp_path / "none")


def merge(output: Path, *paths: Path, force: bool = False) -> list[Path]:
    return merge_paths([str(path) for path in paths], output, force, progress=False)


def test_folders_of_one_tokenizer_become_one(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "a", ONE), folder(tmp_path / "b", TWO)
    output = tmp_path / "c"
    assert merge(output, first, second, first) == [output / "text_document"]
    assert contents(output / "text_document") == [*ONE, *TWO, *ONE]
    (checked,) = check(output)
    assert not checked.problems
    manifest = read_manifest(output)
    assert manifest.datasets["text_document"].documents == 6
    assert [part["name"] for part in manifest.origin["merged"]] == ["a", "b", "a"]
    assert manifest.tokenizer == read_manifest(first).tokenizer
    with pytest.raises(DataError, match=r"--force replaces them"):
        merge(output, first, second)
    merge(output, second, first, force=True)
    assert contents(output / "text_document") == [*TWO, *ONE]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    first, output = folder(tmp_path / "a", ONE), tmp_path / "b"
    output.mkdir()
    (output / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="exists and holds something else"):
        merge(output, first, force=True)
    assert [path.name for path in output.iterdir()] == ["thesis.txt"]


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", ONE)
    other = train_bpe([sentence(i) for i in range(60)], 290)
    tokens = folder(tmp_path / "b", TWO, tokenizer=other.to_json())
    level = folder(tmp_path / "c", TWO, level="sentence")
    names = prepared_folder(tmp_path / "d", {"x": TWO}, 300, tokenizer=BPE.to_json())
    write_json(
        names / "manifest.json",
        (read_json(names / "manifest.json") or {})
        | {"tokenizer": dict(read_manifest(first).tokenizer)},
    )
    for path, line in (
        (tokens, f"--merge={tokens}: was made by another tokenizer than {first}"),
        (level, f"--merge={level}: has sentences, but {first} documents"),
        (names, f"--merge={names}: has not the datasets of {first}"),
        (pair(tmp_path / "e", TWO), f"--merge={tmp_path}/e: is no folder, but another path is"),
    ):
        with pytest.raises(DataError) as caught:
            merge(tmp_path / "out", first, path)
        assert str(caught.value) == line
    assert not (tmp_path / "out").exists()


def test_prefixes_become_a_prefix(tmp_path: Path) -> None:
    first, second = pair(tmp_path / "a", ONE), pair(tmp_path / "b", TWO)
    assert merge(tmp_path / "c", first, second) == [tmp_path / "c"]
    assert contents(tmp_path / "c") == [*ONE, *TWO]
    with pytest.raises(DataError, match=r"--output=.*c.idx: exists; name another PREFIX"):
        merge(tmp_path / "c", second)
    assert contents(tmp_path / "c") == [*ONE, *TWO]
    with pytest.raises(DataError, match="expected uint16"):
        merge(tmp_path / "d", first, pair(tmp_path / "i", TWO, "<i4"))
    assert np.array_equal(IndexedDataset(tmp_path / "c").doc_idx, [0, 2, 3, 4, 6])
