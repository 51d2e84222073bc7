"""Byte-level BPE: any text comes back, the same text gives the same tokenizer, GPT-2's ids."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.data.text.cutting import next_boundary
from hydratron.data.tokenizer import END_OF_TEXT, Tokenizer, open_gpt2, train_bpe
from hydratron.errors import DataError
from tests.unit.data.tokenizer.processes import printed

TEXT = "the union of the states, the people's union; 1790 and 1865.\n\n\n    " * 3
TRAINED = train_bpe([TEXT], 280)
WORDS = ["the", " union", "'s", "1790", " ", "   ", "\n", "\n\n\n", "é"]


@cache
def published(folder: Path) -> Tokenizer:
    return open_gpt2(str(folder))


def test_the_vocabulary_is_as_asked_and_the_end_of_text_is_last() -> None:
    assert TRAINED.vocab_size == 280
    assert TRAINED.eod == 279
    assert TRAINED.decode([279]) == END_OF_TEXT
    assert len(TRAINED.encode(TEXT)) < len(TEXT) / 2


@settings(deadline=None)
@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert TRAINED.decode(TRAINED.encode(text)) == text


@settings(deadline=None)
@given(text=st.text())
def test_any_text_comes_back_from_gpt2(gpt2_folder: Path, text: str) -> None:
    gpt2 = published(gpt2_folder)
    assert gpt2.decode(gpt2.encode(text)) == text


def test_characters_of_all_planes_come_back() -> None:
    characters = [chr(i) for i in range(0, 0x110000, 7) if not 0xD800 <= i < 0xE000]
    for start in range(0, len(characters), 1 << 14):
        text = "".join(characters[start : start + (1 << 14)])
        assert TRAINED.decode(TRAINED.encode(text)) == text


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS)), st.data())
def test_a_text_cut_at_a_boundary_has_the_same_tokens(
    words: list[str], data: st.DataObject
) -> None:
    text = "".join(words)
    start = data.draw(st.integers(0, len(text)))
    at = next_boundary(text, start)
    assert TRAINED.encode(text[:at]) + TRAINED.encode(text[at:]) == TRAINED.encode(text)


def test_training_again_gives_the_same_tokenizer() -> None:
    program = (
        "import sys; from hydratron.data.tokenizer import train_bpe;"
        "print(train_bpe([sys.argv[1]], 280).sha256)"
    )
    assert printed(program, TEXT) == TRAINED.sha256
    assert train_bpe([TEXT + " xx" * 50], 280).sha256 != TRAINED.sha256


def test_too_little_text_for_the_vocabulary_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        train_bpe(["ab ab ab"], 400)
    expected = "tokenizer.vocab_size=400: the text gives at most 259 entries"
    assert str(caught.value) == expected
    assert train_bpe(["ab ab ab"], 259).vocab_size == 259


def test_gpt2_from_its_own_files(gpt2_folder: Path) -> None:
    gpt2 = published(gpt2_folder)
    assert gpt2.encode("Hello world") == [15496, 995]
    assert (gpt2.vocab_size, gpt2.eod) == (50257, 50256)


def test_gpt2_from_a_tokenizer_file(gpt2_folder: Path, tmp_path: Path) -> None:
    gpt2 = published(gpt2_folder)
    gpt2.save(tmp_path / "tokenizer.json")
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        assert open_gpt2(str(path)).sha256 == gpt2.sha256


def test_gpt2_has_the_ids_of_transformers(
    gpt2_folder: Path, transformers: ModuleType, odd_texts: list[str], real_texts: list[str]
) -> None:
    files = {"vocab": "encoder.json", "merges": "vocab.bpe"}
    theirs = transformers.GPT2Tokenizer(**{k: str(gpt2_folder / v) for k, v in files.items()})
    texts = odd_texts + real_texts
    assert published(gpt2_folder).encode_batch(texts) == theirs(texts)["input_ids"]


EXPECTED = "a folder with encoder.json and vocab.bpe, or a tokenizer.json"


@pytest.mark.parametrize("path", [None, ""])
def test_gpt2_without_a_path_says_what_is_needed(path: str | None) -> None:
    with pytest.raises(DataError, match=f"tokenizer.path=null: tokenizer=gpt2 needs {EXPECTED}"):
        open_gpt2(path)


def test_gpt2_from_a_wrong_place_says_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_text("{}")
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match=f"tokenizer.path={path}: must be {EXPECTED}"):
            open_gpt2(str(path))


@pytest.mark.parametrize("content", ["{", "{}", '{"a": 0}'])
def test_broken_gpt2_files_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "encoder.json").write_text(content)
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\nx y\n")
    (tmp_path / "tokenizer.json").write_text(content)
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        with pytest.raises(DataError, match=f"tokenizer.path={path}: cannot be used: "):
            open_gpt2(str(path))
