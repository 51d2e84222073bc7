"""Words seen before: the same tokens as the tokenizer's own, however the text is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers

from hydratron.data import encode as encoding
from hydratron.data.encode import Encoder, safe_cut
from hydratron.data.text.cutting import next_boundary, no_cut
from hydratron.data.tokenizer import Tokenizer, open_bert, open_gpt2, train_bpe, train_wordpiece
from tests.unit.data.conftest import SHARED, sentence

TEXTS = [sentence(i) for i in range(200)]
BPE = train_bpe(TEXTS, 400)
WORDPIECE = train_wordpiece(TEXTS, 200)
UINT16 = np.dtype("<u2")
# Where words of either tokenizer begin, end, or surprisingly do not.
CHARACTERS = " \n\t\r\x0b\x0c\x1c\x85\xa0\u2028\u3000\x00\u0301\u200daZ09é中😀ß_'-.,![]{~"
WORDS = ("'s", "'ll", " the", "<|endoftext|>", "[SEP]", "##", "don't", "\n\n", "people", "union,")
PARTS = st.sampled_from([*CHARACTERS, *WORDS])
TEXT = st.lists(PARTS | st.characters(exclude_categories=["Cs"]), max_size=30).map("".join)


def tokens(encoder: Encoder, texts: list[str]) -> list[list[int]]:
    return [np.frombuffer(found, encoder.dtype).tolist() for found in encoder.encode(texts)]


@settings(deadline=None, max_examples=150)
@given(st.lists(TEXT, max_size=5))
@pytest.mark.parametrize("tokenizer", [BPE, WORDPIECE], ids=["bpe", "wordpiece"])
def test_the_tokens_are_those_of_the_tokenizer(tokenizer: Tokenizer, texts: list[str]) -> None:
    encoder = Encoder(tokenizer, UINT16)
    assert encoder.cut is next_boundary
    expected = tokenizer.encode_batch(texts)
    assert tokens(encoder, texts) == expected
    assert tokens(encoder, texts) == expected  # all words are known now


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_every_character_is_cut_rightly_with_published_tokenizers(name: str) -> None:
    folder = SHARED / "vocab" / name
    if not folder.is_dir():
        pytest.skip(f"needs the vocabulary in {folder}")
    tokenizer = {"gpt2": open_gpt2, "bert": open_bert}[name](str(folder))
    around = "ab{0} {0}\n c{0},{0}x{0} \n{0}' d's{0} \n\n{0}{0} E. {0}"
    characters = [*range(0x500), *range(0x1680, 0x1690), *range(0x2000, 0x2070), 0x3000, 0xFEFF]
    texts = [around.format(chr(code)) for code in characters]
    assert tokens(Encoder(tokenizer, UINT16), texts) == tokenizer.encode_batch(texts)


def test_long_texts_and_forgotten_words_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(TEXTS[:20]), *TEXTS[20:40], "", " ".join(TEXTS)]
    expected = BPE.encode_batch(texts)
    for characters, known in ((1, 1), (50, 100), (1000, 10)):
        monkeypatch.setattr(encoding, "PASS_CHARACTERS", characters)
        monkeypatch.setattr(encoding, "KNOWN_CHARACTERS", known)
        assert tokens(Encoder(BPE, UINT16), texts) == expected


def test_each_word_is_tokenized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = Tokenizer.encode_batch

    def counted(self: Tokenizer, texts: list[str]) -> list[list[int]]:
        seen.extend(texts)
        return original(self, texts)

    monkeypatch.setattr(Tokenizer, "encode_batch", counted)
    encoder = Encoder(BPE, UINT16)
    for text in TEXTS:
        encoder.encode([text])
    assert len(seen) == len(set(seen)) < 250


def test_large_ids_keep_their_type() -> None:
    (found,) = Encoder(BPE, np.dtype("<i4")).encode(["people"])
    assert np.frombuffer(found, "<i4").tolist() == BPE.encode("people")


def changed(change: Callable[[tokenizers.Tokenizer], object], start: Tokenizer) -> Tokenizer:
    inner = tokenizers.Tokenizer.from_str(start.to_json())
    change(inner)
    return Tokenizer(inner)


def set_to(name: str, value: object) -> Callable[[tokenizers.Tokenizer], object]:
    return lambda inner: setattr(inner, name, value)


@pytest.mark.parametrize(
    "tokenizer",
    [
        changed(set_to("normalizer", normalizers.NFC()), BPE),
        changed(set_to("pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True)), BPE),
        changed(set_to("pre_tokenizer", pre_tokenizers.ByteLevel(False, use_regex=False)), BPE),
        changed(set_to("pre_tokenizer", pre_tokenizers.Metaspace()), BPE),
        changed(lambda inner: inner.add_tokens(["the people"]), BPE),
        changed(set_to("model", models.BPE({"a": 0}, [], dropout=0.5)), BPE),
        changed(set_to("normalizer", None), WORDPIECE),
        changed(set_to("pre_tokenizer", pre_tokenizers.Whitespace()), WORDPIECE),
    ],
)
def test_texts_stay_whole_for_other_tokenizers(tokenizer: Tokenizer) -> None:
    assert safe_cut(tokenizer) is no_cut
    encoder = Encoder(tokenizer, UINT16)
    texts = ["the people.\n\nthe union", " of  these"]
    if 'dropout":0.5' not in tokenizer.to_json():
        assert tokens(encoder, texts) == tokenizer.encode_batch(texts)


def test_a_tokenizer_that_was_saved_is_as_safe(tmp_path: Path) -> None:
    BPE.save(tmp_path / "tokenizer.json")
    assert safe_cut(Tokenizer.load(tmp_path / "tokenizer.json")) is next_boundary
