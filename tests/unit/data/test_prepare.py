"""Preparing tokens: what is written, when it is found again, and what a failure leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydratron.config.schema import DataConfig, TokenizerConfig
from hydratron.data import encode as encoding
from hydratron.data import prepare as preparing
from hydratron.data.prepare import open_prepared, prepare
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
    prepared = open_prepared(prepare(data, bpe, progress=False))
    texts = [json.loads(line)["text"] for line in corpus.read_text().splitlines()]
    for split, expected in (
        (prepared.validation, texts[7::20]),
        (prepared.train, [text for i, text in enumerate(texts) if i % 20 != 7]),
    ):
        assert all(tokens[-1] == prepared.eod for tokens in split)
        assert [prepared.tokenizer.decode(tokens[:-1].tolist()) for tokens in split] == expected


def test_the_tokenizer_sees_only_training_text(
    data: DataConfig, bpe: TokenizerConfig, corpus: Path
) -> None:
    before = open_prepared(prepare(data, bpe, progress=False))
    lines = corpus.read_text().splitlines()
    lines[27] = json.dumps({"text": "zzyzx " * 1000})
    corpus.write_text("\n".join(lines))
    after = open_prepared(prepare(data, bpe, progress=False))
    assert after.path != before.path
    assert after.tokenizer.sha256 == before.tokenizer.sha256
    assert after.validation.tokens > before.validation.tokens


def test_long_documents_pass_in_pieces_unchanged(
    data: DataConfig, bpe: TokenizerConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = open_prepared(prepare(data, bpe, progress=False))
    monkeypatch.setattr(encoding, "PIECE_CHARACTERS", 10)
    monkeypatch.setattr(encoding, "BATCH_PIECES", 3)
    data.cache_dir = str(tmp_path / "other")
    cut = open_prepared(prepare(data, bpe, progress=False))
    assert cut.manifest == whole.manifest


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
    with pytest.raises(DataError, match=r"tokenizer.vocab_size=60000: the training split gives"):
        prepare(data, TokenizerConfig(vocab_size=60000), progress=False)
    assert visible(Path(data.cache_dir)) == []


def test_leftovers_of_dead_builds_are_removed(data: DataConfig, bpe: TokenizerConfig) -> None:
    folder = prepare(data, bpe, progress=False)
    for key in (folder.name, "0123456789abcdef"):
        leftover = folder.parent / f".{key}.x1y2z3.tmp"
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
    prepared = open_prepared(prepare(data, config, progress=False))
    assert (prepared.vocab_size, prepared.eod) == (50257, 50256)
    assert prepared.train[0][:2].tolist() == [15496, 995]
    assert prepared.validation[0].tolist() == [290, 262, 886, 50256]


def test_a_wrong_tokenizer_path_comes_before_any_folder(data: DataConfig) -> None:
    with pytest.raises(DataError, match=r"tokenizer.path=null"):
        prepare(data, TokenizerConfig(kind="gpt2"), progress=False)
    assert not Path(data.cache_dir).exists()
