"""A job's data, opened: what is checked, and what they are called by."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from hydratron.data.corpus import Corpus, open_corpus
from hydratron.errors import DataError
from tests.helpers.prepared import prepared_folder

TRAIN = [[range(10)], [range(10, 15)], [range(5)]]
VALIDATION = [[range(20, 26)]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared_folder(tmp_path / "data", {"train": TRAIN, "validation": VALIDATION}, 300)


def test_it_is_what_the_manifest_says(folder: Path) -> None:
    corpus = open_corpus(folder)
    assert (corpus.vocab_size, corpus.eod) == (300, 299)
    for name, documents, tokens in (("train", 3, 20), ("validation", 1, 6)):
        (part,) = corpus.splits[name]
        assert (part.sequences, part.tokens, part.weight) == (slice(0, documents), tokens, 1.0)
    again = pickle.loads(pickle.dumps(corpus))
    assert again.splits["train"][0].dataset[1].tolist() == list(range(10, 15))


def test_parts_of_sentences_are_whole_documents(tmp_path: Path) -> None:
    documents = [[range(4), range(2)], [range(3)], [range(5), range(1), range(1)]]
    folder = prepared_folder(
        tmp_path / "s", {"train": documents, "validation": documents[:2]}, 300, level="sentence"
    )
    corpus = open_corpus(folder)
    (train,), (validation,) = corpus.splits["train"], corpus.splits["validation"]
    assert (train.first, train.last, train.sequences, train.tokens) == (0, 3, slice(0, 6), 16)
    assert (validation.last, validation.sequences, validation.tokens) == (2, slice(0, 3), 9)


def edit(folder: Path, key: str, value: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "manifest.json").unlink(), "no manifest.json; expected a folder"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json cannot be read: "),
        (lambda f: edit(f, "format", 1), "format 1; this version reads 2"),
        (lambda f: edit(f, "datasets", {}), "has no train and no validation split"),
        (lambda f: edit(f, "datasets", 3), "manifest.json is not one that hydratron wrote"),
        (lambda f: edit(f, "vocab_size", 65500), "is of uint16, not for 65500 entries"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json"),
        (lambda f: (f / "train.bin").unlink(), "train.bin: cannot be read"),
        (lambda f: (f / "train.bin").write_bytes(b"xx"), "train.bin holds 2 bytes"),
    ],
)
def test_a_damaged_folder_is_refused(
    folder: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(folder)
    with pytest.raises(DataError, match=reason):
        open_corpus(folder)


def test_exchanged_files_are_refused(folder: Path) -> None:
    for suffix in ("bin", "idx"):
        (folder / f"train.{suffix}").rename(folder / "spare")
        (folder / f"validation.{suffix}").rename(folder / f"train.{suffix}")
        (folder / "spare").rename(folder / f"validation.{suffix}")
    expected = "had 3 documents, 3 sequences, 20 tokens when it was prepared, now 1, 1 and 6"
    with pytest.raises(DataError, match=expected):
        open_corpus(folder)


def identity(path: Path, **changes: object) -> str:
    arguments: dict[str, object] = {
        "datasets": {"train": TRAIN, "validation": VALIDATION},
        "vocab_size": 300,
    }
    prepared_folder(path, **(arguments | changes))  # type: ignore[arg-type]
    return open_corpus(path).identity


def test_the_identity_is_of_the_tokens_and_not_of_the_place(tmp_path: Path) -> None:
    one = identity(tmp_path / "a")
    assert identity(tmp_path / "b") == one
    changed = {"train": TRAIN, "validation": [[range(21, 27)]]}
    others = [
        identity(tmp_path / "c", datasets=changed),
        identity(tmp_path / "d", tokenizer='{"x": 1}'),
        identity(tmp_path / "e", level="sentence"),
    ]
    assert len({one, *others}) == 4


def test_another_tokenizer_is_refused_when_it_is_needed(folder: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a tokenizer"):
        _ = open_corpus(folder).tokenizer


def test_a_corpus_of_real_text_knows_its_tokenizer(real_corpus: Corpus) -> None:
    assert real_corpus.tokenizer.vocab_size == 300
    path = real_corpus.path / "tokenizer.json"
    changed = path.read_text().replace('"add_prefix_space": false', '"add_prefix_space": true')
    path.write_text(changed)
    with pytest.raises(DataError, match="is not the one that made the tokens"):
        _ = open_corpus(real_corpus.path).tokenizer


@pytest.fixture
def real_corpus(data, bpe) -> Corpus:  # type: ignore[no-untyped-def]
    from hydratron.data.prepare import prepare

    return open_corpus(prepare(data, bpe, progress=False))
