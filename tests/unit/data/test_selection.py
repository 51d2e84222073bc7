"""Token files that exist: what a job takes of them, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hydratron.config.schema import DataConfig, TokenizerConfig
from hydratron.data.corpus import open_corpus
from hydratron.data.indexed import IndexedDatasetWriter
from hydratron.data.selection import select
from hydratron.errors import DataError
from tests.helpers.prepared import prepared_folder

PREPARED = TokenizerConfig(kind="prepared")


def documents(count: int, start: int = 0) -> list[list[range]]:
    return [[range(start + i, start + i + 5)] for i in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared_folder(tmp_path / "a", {"text_document": documents(20)}, 300)


def indexed(tmp_path: Path, path: Path | str, split: str = "80/15/5") -> DataConfig:
    cache = str(tmp_path / "cache")
    return DataConfig(source="indexed", path=str(path), split=split, cache_dir=cache)


def blend(tmp_path: Path, *paths: Path, weights: tuple[float, ...] = ()) -> DataConfig:
    return DataConfig(
        source="blend",
        paths=[str(path) for path in paths],
        weights=list(weights),
        split="80/15/5",
        cache_dir=str(tmp_path / "cache"),
    )


@pytest.mark.parametrize("name", ["", "text_document", "text_document.bin", "text_document.idx"])
def test_a_set_is_named_by_its_folder_its_prefix_or_a_file(
    tmp_path: Path, folder: Path, name: str
) -> None:
    selected = select(indexed(tmp_path, folder / name), PREPARED, sentences=False)
    corpus = open_corpus(selected)
    assert (corpus.vocab_size, corpus.eod) == (300, 299)
    (train,), (validation,) = corpus.splits["train"], corpus.splits["validation"]
    assert (train.first, train.last, validation.first, validation.last) == (0, 16, 16, 19)
    assert train.dataset[3].tolist() == [3, 4, 5, 6, 7]
    assert (selected / "tokenizer.json").read_text() == "{}"


def test_the_same_choice_is_the_same_folder(tmp_path: Path, folder: Path) -> None:
    one, again, other = (
        select(indexed(tmp_path, folder, split), PREPARED, sentences=False)
        for split in ("80/15/5", "80,15,5", "70/25/5")
    )
    assert one == again != other
    assert sorted(path.name for path in one.iterdir()) == ["selection.json", "tokenizer.json"]
    assert open_corpus(one).identity != open_corpus(other).identity


def test_moved_tokens_are_the_same_data(tmp_path: Path, folder: Path) -> None:
    before = open_corpus(select(indexed(tmp_path, folder), PREPARED, sentences=False))
    moved = folder.rename(tmp_path / "moved")
    after = open_corpus(select(indexed(tmp_path, moved), PREPARED, sentences=False))
    assert after.identity == before.identity
    assert after.path != before.path


def test_tokens_that_change_later_are_noticed(tmp_path: Path, folder: Path) -> None:
    selected = select(indexed(tmp_path, folder), PREPARED, sentences=False)
    for suffix in ("bin", "idx"):
        (folder / f"text_document.{suffix}").unlink()
    with IndexedDatasetWriter(folder / "text_document", "u2") as writer:
        writer.add_document([[1, 2, 3]])
    with pytest.raises(DataError, match="when it was prepared, now 1, 1 and 3"):
        open_corpus(selected)
    with pytest.raises(DataError, match="when it was prepared, now 1, 1 and 3"):
        select(indexed(tmp_path, folder), PREPARED, sentences=False)


def test_a_blend_weighs_by_tokens_unless_told(tmp_path: Path, folder: Path) -> None:
    other = prepared_folder(tmp_path / "b", {"text_document": documents(60, 100)}, 300)
    for weights, expected in (((), (0.25, 0.75)), ((3.0, 1.0), (0.75, 0.25))):
        data = blend(tmp_path, folder, other, weights=weights)
        corpus = open_corpus(select(data, PREPARED, sentences=False))
        for split in ("train", "validation"):
            parts = corpus.splits[split]
            assert tuple(part.weight for part in parts) == expected
        assert [part.dataset[0][0] for part in parts] == [0, 100]


def refused(data: DataConfig, tokenizer: TokenizerConfig, sentences: bool = False) -> str:
    with pytest.raises(DataError) as caught:
        select(data, tokenizer, sentences=sentences)
    assert not Path(data.cache_dir).exists()
    return str(caught.value)


def test_what_is_not_there_is_refused(tmp_path: Path, folder: Path) -> None:
    said = refused(indexed(tmp_path, tmp_path / "nothing"), PREPARED)
    assert said.startswith(f"data.path={tmp_path / 'nothing'}: neither a prepared folder, nor is")
    (tmp_path / "empty").mkdir()
    assert "no manifest.json" in refused(indexed(tmp_path, tmp_path / "empty"), PREPARED)
    said = refused(blend(tmp_path, folder, tmp_path / "nothing"), PREPARED)
    assert said.startswith("data.paths=")


def test_a_folder_of_several_sets_asks_for_one(tmp_path: Path) -> None:
    sets = {"title_document": documents(3), "text_document": documents(20)}
    folder = prepared_folder(tmp_path / "two", sets, 300)
    said = refused(indexed(tmp_path, folder), PREPARED)
    assert f"name one: {folder / 'title_document'}, {folder / 'text_document'}" in said
    select(indexed(tmp_path, folder / "text_document"), PREPARED, sentences=False)


def test_an_empty_split_is_refused(tmp_path: Path, folder: Path) -> None:
    data = indexed(tmp_path, folder, "969,30,1")
    expected = f"data.split=969,30,1: leaves none of the 20 documents of {folder} for "
    # 19.38 -> 19, 0.6 -> 1, 0.02 -> 0
    select(data, PREPARED, sentences=False)
    shutil.rmtree(data.cache_dir)
    small = prepared_folder(tmp_path / "small", {"text_document": documents(10)}, 300)
    expected = f"data.split=969,30,1: leaves none of the 10 documents of {small} for validation"
    assert refused(indexed(tmp_path, small, "969,30,1"), PREPARED) == f"{expected}; e.g. 90/10/0"


@pytest.mark.parametrize("weights", [(), (1.0, 1.0)])
def test_a_set_without_tokens_is_refused(
    tmp_path: Path, folder: Path, weights: tuple[float, ...]
) -> None:
    empty = prepared_folder(tmp_path / "b", {"text_document": [[[]]] * 20}, 300)
    answer = refused(blend(tmp_path, folder, empty, weights=weights), PREPARED)
    assert answer == (
        f"data.paths={empty}: its train documents have no tokens; leave it out or change data.split"
    )


def test_sentences_and_documents_are_not_confused(tmp_path: Path, folder: Path) -> None:
    pairs = [[range(3), range(4)] for _ in range(20)]
    sentences = prepared_folder(tmp_path / "s", {"text_sentence": pairs}, 300, level="sentence")
    assert "without --sentences" in refused(indexed(tmp_path, sentences), PREPARED)
    assert "with --sentences" in refused(indexed(tmp_path, folder), PREPARED, sentences=True)
    corpus = open_corpus(select(indexed(tmp_path, sentences), PREPARED, sentences=True))
    (train,) = corpus.splits["train"]
    assert (train.last, train.sequences) == (16, slice(0, 32))


def bare(path: Path, sequences: int = 1) -> Path:
    with IndexedDatasetWriter(path, "u2") as writer:
        for i in range(20):
            writer.add_document([[i, i + 1]] * sequences)
    return path


def test_bare_files_need_a_tokenizer(tmp_path: Path) -> None:
    said = refused(indexed(tmp_path, bare(tmp_path / "x")), PREPARED)
    expected = f"tokenizer.kind=prepared: {tmp_path / 'x'} has no manifest.json to tell; "
    assert said == expected + "tokenizer=gpt2 or tokenizer=bert, with tokenizer.path"


def test_bare_files_of_floats_are_no_tokens(tmp_path: Path) -> None:
    with IndexedDatasetWriter(tmp_path / "x", "f8") as writer:
        writer.add_document([[0.5]])
    assert "holds float64, not tokens" in refused(indexed(tmp_path, tmp_path / "x"), PREPARED)


def test_megatron_files_train_with_the_published_tokenizer(
    tmp_path: Path, gpt2_folder: Path
) -> None:
    gpt2 = TokenizerConfig(kind="gpt2", path=str(gpt2_folder))
    data = indexed(tmp_path, bare(tmp_path / "x", sequences=2))
    corpus = open_corpus(select(data, gpt2, sentences=False))
    assert (corpus.vocab_size, corpus.eod) == (50257, 50256)
    assert corpus.tokenizer.encode("Hello world") == [15496, 995]
    # As Megatron-LM has it, GPT takes each sequence for a document; BERT keeps documents whole.
    assert corpus.splits["train"][0].sequences == slice(0, 32)
    pairs = open_corpus(select(data, gpt2, sentences=True))
    assert (pairs.splits["train"][0].last, pairs.splits["train"][0].sequences) == (16, slice(0, 32))
    (tmp_path / "y").mkdir()
    data = indexed(tmp_path / "y", bare(tmp_path / "y" / "x"))
    assert "BERT needs sentences" in refused(data, gpt2, sentences=True)


def test_another_tokenizer_is_refused(tmp_path: Path, folder: Path, gpt2_folder: Path) -> None:
    gpt2 = TokenizerConfig(kind="gpt2", path=str(gpt2_folder))
    said = refused(indexed(tmp_path, folder), gpt2)
    assert said.startswith(f"data.path={folder}: was made by tokenizer synthetic (hash of {{}})")
    assert "not by that of gpt2 (" in said


def test_a_blend_of_two_tokenizers_is_refused(tmp_path: Path, folder: Path) -> None:
    other = prepared_folder(
        tmp_path / "b", {"text_document": documents(20)}, 300, tokenizer='{"b": 1}'
    )
    said = refused(blend(tmp_path, folder, other), PREPARED)
    assert said.startswith(f"data.paths={other}: was made by tokenizer synthetic (hash of {{")


def test_a_selection_of_another_time_is_refused(tmp_path: Path, folder: Path) -> None:
    selected = select(indexed(tmp_path, folder), PREPARED, sentences=False)
    path = selected / "selection.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"format": 0}))
    with pytest.raises(DataError, match="format 0; this version reads 1"):
        open_corpus(selected)
    del content["splits"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"selection.json is not one that hydratron wrote"):
        open_corpus(selected)
