"""Preparing tokens: what is written, when it is found again, and what a failure leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydratron.config.schema import DataConfig, TokenizerConfig
from hydratron.data import prepare as preparing
from hydratron.data.corpus import open_corpus
from hydratron.data.indexed import IndexedDataset
from hydratron.data.manifest import read_manifest
from hydratron.data.prepare import prepare
from hydratron.data.preparer import blocks
from hydratron.data.text import sources
from hydratron.errors import DataError


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of all builds, in order."""
    folders: list[Path] = []
    original = preparing._build

    def counted(*arguments: object) -> None:
        folders.extend(a for a in arguments if isinstance(a, Path))
        original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(preparing, "_build", counted)
    return folders


def visible(folder: Path) -> list[str]:
    """Everything but the lock files, which stay."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_the_folder_has_all_files(data: DataConfig, bpe: TokenizerConfig) -> None:
    folder = prepare(data, bpe, progress=False)
    assert folder.is_absolute()
    assert folder.parent == Path(data.cache_dir)
    assert visible(folder.parent) == [folder.name]
    assert visible(folder) == [
        "manifest.json", "tokenizer.json", "train.bin", "train.idx",
        "validation.bin", "validation.idx",
    ]  # fmt: skip


def test_every_document_is_its_text_and_an_end(
    data: DataConfig, bpe: TokenizerConfig, corpus: Path
) -> None:
    folder = prepare(data, bpe, progress=False)
    prepared = open_corpus(folder)
    texts = [json.loads(line)["text"] for line in corpus.read_text().splitlines()]
    for split, expected in (
        ("validation", texts[7::20]),
        ("train", [text for i, text in enumerate(texts) if i % 20 != 7]),
    ):
        documents = IndexedDataset(folder / split)
        assert all(tokens[-1] == prepared.eod for tokens in documents)
        decode = prepared.tokenizer.decode
        assert [decode(tokens[:-1].tolist()) for tokens in documents] == expected


def test_sentences_are_sequences_without_an_end(data: DataConfig, corpus: Path) -> None:
    lines = [{"text": f"It is {i}. And then? The end."} for i in range(20)]
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = TokenizerConfig(kind="wordpiece", vocab_size=50)
    folder = prepare(data, config, sentences=True, progress=False)
    manifest, prepared = read_manifest(folder), open_corpus(folder)
    assert manifest.level == "sentence"
    entry = manifest.datasets["train"]
    assert (entry.documents, entry.sequences) == (19, 57)
    sequences = [tokens.tolist() for tokens in IndexedDataset(folder / "validation")]
    texts = ["it is 7 .", "and then ?", "the end ."]
    assert [prepared.tokenizer.decode(tokens) for tokens in sequences] == texts
    assert prepare(data, config, progress=False) != folder


def test_the_tokenizer_sees_only_training_text(
    data: DataConfig, bpe: TokenizerConfig, corpus: Path
) -> None:
    before = prepare(data, bpe, progress=False)
    lines = corpus.read_text().splitlines()
    lines[27] = json.dumps({"text": "zzyzx " * 1000})
    corpus.write_text("\n".join(lines))
    after = prepare(data, bpe, progress=False)
    assert after != before
    assert open_corpus(after).tokenizer.sha256 == open_corpus(before).tokenizer.sha256
    validation = [read_manifest(folder).datasets["validation"] for folder in (before, after)]
    assert validation[0].tokens < validation[1].tokens


@pytest.mark.parametrize("suffix", [".jsonl", ".txt"])
def test_long_documents_pass_in_pieces_unchanged(
    suffix: str,
    data: DataConfig,
    bpe: TokenizerConfig,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    data.path = str(corpus.rename(corpus.with_suffix(suffix)))
    whole = prepare(data, bpe, progress=False)
    monkeypatch.setattr(sources, "PIECE_CHARACTERS", 1000)
    monkeypatch.setattr(blocks, "BLOCK_CHARACTERS", 900)
    data.cache_dir = str(tmp_path / "other")
    cut = prepare(data, bpe, progress=False)
    assert read_manifest(cut) == read_manifest(whole)


def test_the_manifest_names_what_decides_the_tokens(
    data: DataConfig, bpe: TokenizerConfig, corpus: Path
) -> None:
    folder = prepare(data, bpe, progress=False)
    manifest, prepared = read_manifest(folder), open_corpus(folder)
    assert manifest.level == "document"
    assert manifest.tokenizer["sha256"] == prepared.tokenizer.sha256
    assert manifest.tokenizer["kind"] == "bpe"
    assert manifest.origin["source"]["files"][0]["name"] == corpus.name
    assert (manifest.vocab_size, manifest.eod, manifest.dtype) == (300, 299, "uint16")
    assert {"numpy", "tokenizers"} <= manifest.versions.keys()


def test_it_is_found_again_by_content(
    data: DataConfig, bpe: TokenizerConfig, builds: list[Path], corpus: Path, tmp_path: Path
) -> None:
    folder = prepare(data, bpe, progress=False)
    moved = tmp_path / "moved" / corpus.name
    moved.parent.mkdir()
    corpus.rename(moved)
    data.path = str(moved)
    assert prepare(data, bpe, progress=False) == folder
    assert len(builds) == 1
    bpe.vocab_size = 301
    assert prepare(data, bpe, progress=False) != folder
    assert len(builds) == 2


def test_a_relative_cache_gives_an_absolute_path(
    data: DataConfig, bpe: TokenizerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data.cache_dir = "here"
    assert prepare(data, bpe, progress=False).parent == tmp_path / "here"


def test_a_damaged_folder_is_built_again(
    data: DataConfig, bpe: TokenizerConfig, builds: list[Path]
) -> None:
    folder = prepare(data, bpe, progress=False)
    manifest = (folder / "manifest.json").read_bytes()
    (folder / "train.bin").write_bytes(b"")
    assert prepare(data, bpe, progress=False) == folder
    assert len(builds) == 2
    assert (folder / "manifest.json").read_bytes() == manifest


def test_a_failed_build_leaves_nothing(data: DataConfig) -> None:
    with pytest.raises(DataError, match=r"tokenizer.vocab_size=60000: the text gives"):
        prepare(data, TokenizerConfig(vocab_size=60000), progress=False)
    assert visible(Path(data.cache_dir)) == []


def test_leftovers_of_dead_builds_are_removed(data: DataConfig, bpe: TokenizerConfig) -> None:
    folder = prepare(data, bpe, progress=False)
    for key in (folder.name, "0123456789abcdef"):
        leftover = folder.parent / f".{key}.x1y2z3w4.tmp"
        leftover.mkdir()
        (leftover / "train.bin").write_bytes(b"half")
    bpe.vocab_size = 301
    other = prepare(data, bpe, progress=False)
    assert visible(folder.parent) == sorted([folder.name, other.name])


def test_a_cache_that_cannot_be_written_is_named(data: DataConfig, bpe: TokenizerConfig) -> None:
    Path(data.cache_dir).write_text("a file")
    with pytest.raises(DataError) as caught:
        prepare(data, bpe, progress=False)
    assert str(caught.value).startswith(f"data.cache_dir={data.cache_dir}: cannot be written: ")


def test_gpt2_tokens(data: DataConfig, gpt2_folder: Path, tmp_path: Path) -> None:
    data.path = str(tmp_path / "hello.txt")
    Path(data.path).write_text("Hello world" * 20 + " and the end")
    config = TokenizerConfig(kind="gpt2", path=str(gpt2_folder))
    folder = prepare(data, config, progress=False)
    prepared = open_corpus(folder)
    assert (prepared.vocab_size, prepared.eod) == (50257, 50256)
    assert IndexedDataset(folder / "train")[0][:2].tolist() == [15496, 995]
    assert IndexedDataset(folder / "validation")[0].tolist() == [290, 262, 886, 50256]


def test_a_tokenizer_of_another_end(data: DataConfig, bpe: TokenizerConfig, tmp_path: Path) -> None:
    made = (prepare(data, bpe, progress=False) / "tokenizer.json").read_text(encoding="utf-8")
    path = tmp_path / "other.json"
    path.write_text(made.replace("<|endoftext|>", "<END>"), encoding="utf-8")
    config = TokenizerConfig(kind="gpt2", path=str(path))
    with pytest.raises(DataError, match=r"tokenizer.path=.* has none of .*by tokenizer\.eod"):
        prepare(data, config, progress=False)
    config.eod = "<END>"
    corpus = open_corpus(prepare(data, config, progress=False))
    (train,) = corpus.splits["train"]
    assert (corpus.eod, int(train.dataset[0][-1])) == (299, 299)


def test_what_is_not_read_is_told(data: DataConfig, bpe: TokenizerConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x")
    data.path = str(tmp_path)
    told: list[str] = []
    for _ in range(2):
        prepare(data, bpe, progress=False, tell=told.append)
    assert told[0].startswith(f"{tmp_path}: left out: 1 file other than .txt, .jsonl or .parquet")
    assert len(told) == 2


def test_a_wrong_tokenizer_path_comes_before_any_folder(data: DataConfig) -> None:
    with pytest.raises(DataError, match=r"tokenizer.path=null"):
        prepare(data, TokenizerConfig(kind="gpt2"), progress=False)
    assert not Path(data.cache_dir).exists()
