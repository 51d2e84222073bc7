"""WordPiece: BERT's ids, deterministic training, and what holds for any text.

A text does not come back from it, since case, accents and spacing are lost.  What holds: no text
fails, none gives a special entry other than [UNK], and where it has no [UNK] the decoded text has
the same ids again.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.data.text.cutting import next_boundary
from hydratron.data.tokenizer import Tokenizer, open_bert, train_wordpiece
from hydratron.errors import DataError
from tests.unit.data.tokenizer.processes import printed

TEXT = "The Union of the états, the people's union; 1790 and 1865.\n\n\n  A union of people! " * 3
TRAINED = train_wordpiece([TEXT], 70)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ["the", " Union", "'s", "1790", " ", "   ", "\n", "\n\n\n", "é", "☃"]


@cache
def published(folder: Path) -> Tokenizer:
    return open_bert(str(folder))


def check_any_text(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    forbidden = {tokenizer.token_id(name) for name in SPECIAL} - {tokenizer.token_id("[UNK]")}
    assert not forbidden & set(ids)
    assert all(0 <= i < tokenizer.vocab_size for i in ids)
    if tokenizer.token_id("[UNK]") not in ids:
        assert tokenizer.encode(tokenizer.decode(ids)) == ids


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from([*WORDS, *SPECIAL, "##on"])).map("".join))
def test_any_text_has_ids(text: str) -> None:
    check_any_text(TRAINED, text)


@settings(deadline=None)
@given(text=st.text() | st.lists(st.sampled_from([*WORDS, *SPECIAL])).map("".join))
def test_any_text_has_ids_of_bert(bert_folder: Path, text: str) -> None:
    check_any_text(published(bert_folder), text)


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS)), st.data())
def test_a_text_cut_at_a_boundary_has_the_same_tokens(
    words: list[str], data: st.DataObject
) -> None:
    text = "".join(words)
    at = next_boundary(text, data.draw(st.integers(0, len(text))))
    assert TRAINED.encode(text[:at]) + TRAINED.encode(text[at:]) == TRAINED.encode(text)


def test_the_vocabulary_starts_with_the_special_entries() -> None:
    assert [TRAINED.token_id(name) for name in SPECIAL] == [0, 1, 2, 3, 4]
    assert TRAINED.vocab_size == 70
    assert TRAINED.eod == 3
    # A word that was learnt whole, then one in pieces, then a character that was never seen.
    assert len(TRAINED.encode("union")) == 1
    assert TRAINED.decode(TRAINED.encode("UNITED, états")) == "united , etats"
    assert TRAINED.encode("☃") == [1]


def test_no_entry_is_there_twice_and_none_is_useless() -> None:
    entries = [TRAINED.decode([i]) for i in range(5, TRAINED.vocab_size)]
    assert len(set(entries)) == len(entries)
    # Punctuation is always a word of its own, so it never goes on with one.
    assert not {"##,", "##.", "##!", "##'"} & set(entries)


def test_decoding_does_not_contract() -> None:
    text = "they do not stop ."
    tokenizer = train_wordpiece([text], 5 + 20)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("threads", ["1", "2"])
def test_training_again_gives_the_same_tokenizer(threads: str) -> None:
    """Another process has other hash seeds; its result must not differ."""
    program = (
        "import sys; from hydratron.data.tokenizer import train_wordpiece;"
        "print(train_wordpiece([sys.argv[1]], 70).sha256)"
    )
    assert printed(program, TEXT, RAYON_NUM_THREADS=threads) == TRAINED.sha256
    assert train_wordpiece([TEXT + " xx" * 50], 70).sha256 != TRAINED.sha256


def test_how_the_text_is_cut_into_documents_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hydratron.data.tokenizer.wordpiece.COUNTED_AT_ONCE", 3)
    monkeypatch.setattr("hydratron.data.tokenizer.wordpiece.LONGEST_TEXT", 10)
    assert train_wordpiece(iter(TEXT.splitlines()), 70).sha256 == TRAINED.sha256


def test_rare_characters_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hydratron.data.tokenizer.wordpiece.LARGEST_ALPHABET", 3)
    tokenizer = train_wordpiece(["ab ab abc c abd"], 5 + 6)
    entries = [tokenizer.decode([i]) for i in range(5, 11)]
    # "c" occurs twice and "d" once; nothing is learnt from "abd".
    assert entries == ["##b", "##c", "a", "b", "c", "ab"]
    assert tokenizer.encode("d abd") == [1, 1]


def test_too_little_text_for_the_vocabulary_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        train_wordpiece(["ab ab ab"], 400)
    expected = "tokenizer.vocab_size=400: the text gives at most 9 entries"
    assert str(caught.value) == expected
    assert train_wordpiece(["ab ab ab"], 9).vocab_size == 9
    with pytest.raises(DataError, match="gives at most 5 entries"):
        train_wordpiece([], 6)


def test_too_small_a_vocabulary_for_the_characters_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        train_wordpiece(["ab ab ab"], 6)
    expected = "tokenizer.vocab_size=6: the characters of the text take 8 entries"
    assert str(caught.value) == expected


def test_bert_from_its_own_file(bert_folder: Path) -> None:
    bert = published(bert_folder)
    assert bert.encode("hello world") == [7592, 2088]
    assert bert.encode("Héllo WORLD") == [7592, 2088]
    assert (bert.vocab_size, bert.eod) == (30522, 102)
    assert open_bert(str(bert_folder / "vocab.txt")).sha256 == bert.sha256


def test_bert_from_a_tokenizer_file(bert_folder: Path, tmp_path: Path) -> None:
    bert = published(bert_folder)
    bert.save(tmp_path / "tokenizer.json")
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        assert open_bert(str(path)).sha256 == bert.sha256


def test_bert_has_the_ids_of_transformers(
    bert_folder: Path, transformers: ModuleType, odd_texts: list[str], real_texts: list[str]
) -> None:
    """Theirs in plain Python, and theirs on the same library."""
    legacy = pytest.importorskip("transformers.models.bert.tokenization_bert_legacy")
    slow = legacy.BertTokenizerLegacy(str(bert_folder / "vocab.txt"))
    fast = transformers.BertTokenizer(vocab=str(bert_folder / "vocab.txt"))
    texts = odd_texts + real_texts
    ids = published(bert_folder).encode_batch(texts)
    assert ids == fast(texts, add_special_tokens=False)["input_ids"]
    sampled = texts[: len(odd_texts)] + texts[len(odd_texts) :: 4]
    expected = [slow.convert_tokens_to_ids(slow.tokenize(text)) for text in sampled]
    assert ids[: len(odd_texts)] + ids[len(odd_texts) :: 4] == expected


EXPECTED = "a vocab.txt or a tokenizer.json, or a folder with one of them"


@pytest.mark.parametrize("path", [None, ""])
def test_bert_without_a_path_says_what_is_needed(path: str | None) -> None:
    with pytest.raises(DataError, match=f"tokenizer.path=null: tokenizer=bert needs {EXPECTED}"):
        open_bert(path)


def test_bert_from_a_wrong_place_says_what_is_needed(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match=f"tokenizer.path={path}: must be {EXPECTED}"):
            open_bert(str(path))


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe[SEP]\n", b"{}"])
def test_broken_bert_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(DataError, match=f"tokenizer.path={path}: cannot be used: ") as caught:
            open_bert(str(path))
        assert "\n" not in str(caught.value)


def test_a_vocabulary_without_the_special_entries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD]\n[UNK]\n[SEP]\nthe\n##s\n")
    with pytest.raises(DataError) as caught:
        open_bert(str(path))
    expected = "cannot be used: the vocabulary has no [CLS] and no [MASK]"
    assert str(caught.value) == f"tokenizer.path={path}: {expected}"
