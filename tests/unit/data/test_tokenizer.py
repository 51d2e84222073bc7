"""Byte-level BPE: any text comes back, the same text gives the same tokenizer, GPT-2's ids."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.data.split import next_boundary
from hydratron.data.tokenizer import END_OF_TEXT, Tokenizer, open_gpt2, train_bpe
from hydratron.errors import DataError

TEXT = "the union of the states, the people's union; 1790 and 1865.\n\n\n    " * 3
TRAINED = train_bpe([TEXT], 280)
WORDS = ["the", " union", "'s", "1790", " ", "   ", "\n", "\n\n\n", "é"]


def test_the_vocabulary_is_as_asked_and_the_end_of_text_is_last() -> None:
    assert TRAINED.vocab_size == 280
    assert TRAINED.eod == 279
    assert TRAINED.decode([279]) == END_OF_TEXT
    assert len(TRAINED.encode(TEXT)) < len(TEXT) / 2


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(text: str) -> None:
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


def test_a_batch_is_its_texts() -> None:
    texts = ["the union", "", "of states"]
    assert TRAINED.encode_batch(texts) == [TRAINED.encode(text) for text in texts]


def test_the_name_of_the_end_of_text_is_ordinary_text(tmp_path: Path) -> None:
    TRAINED.save(tmp_path / "tokenizer.json")
    for tokenizer in (TRAINED, Tokenizer.load(tmp_path / "tokenizer.json")):
        ids = tokenizer.encode(f"a{END_OF_TEXT}b")
        assert tokenizer.eod not in ids
        assert tokenizer.decode(ids) == f"a{END_OF_TEXT}b"


def test_training_again_gives_the_same_tokenizer() -> None:
    """Another process has other hash seeds; its result must not differ."""
    program = (
        "import sys; from hydratron.data.tokenizer import train_bpe;"
        "print(train_bpe([sys.argv[1]], 280).sha256)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, TEXT],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == TRAINED.sha256
    assert train_bpe([TEXT + " xx" * 50], 280).sha256 != TRAINED.sha256


def test_saving_and_loading_keeps_everything(tmp_path: Path) -> None:
    TRAINED.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.sha256 == TRAINED.sha256
    assert loaded.encode(TEXT) == TRAINED.encode(TEXT)
    assert (loaded.eod, loaded.vocab_size) == (TRAINED.eod, TRAINED.vocab_size)


def test_too_little_text_for_the_vocabulary_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        train_bpe(["ab ab ab"], 400)
    expected = "tokenizer.vocab_size=400: the training split gives at most 259 entries"
    assert str(caught.value) == expected
    assert train_bpe(["ab ab ab"], 259).vocab_size == 259


def test_a_fork_after_encoding_is_silent() -> None:
    program = (
        "import os; from hydratron.data.tokenizer import train_bpe;"
        "t = train_bpe(['a b c'] * 99, 258); t.encode_batch(['a b c'] * 99); pid = os.fork();"
        "ids = t.encode_batch(['a'] * 99); os._exit(0) if pid == 0 else os.waitpid(pid, 0)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stderr == ""


def test_gpt2_from_its_own_files(gpt2_folder: Path) -> None:
    gpt2 = open_gpt2(str(gpt2_folder))
    assert gpt2.encode("Hello world") == [15496, 995]
    assert (gpt2.vocab_size, gpt2.eod) == (50257, 50256)


def test_gpt2_from_a_tokenizer_file(gpt2_folder: Path, tmp_path: Path) -> None:
    gpt2 = open_gpt2(str(gpt2_folder))
    gpt2.save(tmp_path / "tokenizer.json")
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        assert open_gpt2(str(path)).sha256 == gpt2.sha256


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
