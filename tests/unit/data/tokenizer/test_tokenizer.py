"""What both families share: batches, files, special entries that no text can spell."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
from tokenizers import models

from hydratron.data.tokenizer import END_OF_TEXT, Tokenizer, train_bpe, train_wordpiece
from tests.unit.data.tokenizer.processes import printed

TEXT = "the union of the states, the people's union; 1790 and 1865. [SEP] <|endoftext|> "
BPE, WORDPIECE = train_bpe([TEXT * 3], 280), train_wordpiece([TEXT * 3], 80)
BOTH = pytest.mark.parametrize("tokenizer", [BPE, WORDPIECE], ids=["bpe", "wordpiece"])


@BOTH
def test_a_batch_is_its_texts(tokenizer: Tokenizer) -> None:
    texts = ["the union", "", "of states"]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode("") == []


@BOTH
def test_saving_and_loading_keeps_everything(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    again = (
        Tokenizer.load(tmp_path / "tokenizer.json"),
        Tokenizer.from_json(tokenizer.to_json()),
        Tokenizer.from_json((tmp_path / "tokenizer.json").read_text(encoding="utf-8")),
    )
    for other in again:
        assert other.sha256 == tokenizer.sha256
        assert other.encode(TEXT) == tokenizer.encode(TEXT)
        assert (other.eod, other.vocab_size) == (tokenizer.eod, tokenizer.vocab_size)


@BOTH
def test_special_entries_are_ordinary_text(tokenizer: Tokenizer) -> None:
    names = [END_OF_TEXT, "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
    special = {tokenizer.token_id(name) for name in names}
    for other in (tokenizer, Tokenizer.from_json(tokenizer.to_json())):
        for name in names:
            for text in (name, f"a{name}b", f"a {name} b", name * 2, name.lower()):
                assert not special & set(other.encode(text)), text


def test_the_end_of_a_document() -> None:
    assert BPE.eod == BPE.token_id(END_OF_TEXT)
    assert WORDPIECE.eod == WORDPIECE.token_id("[SEP]")


def with_marks(*names: str) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE())
    inner.add_special_tokens(["<unk>", *names])
    return inner


@pytest.mark.parametrize(
    ("names", "end", "eod"),
    [
        (["</s>"], None, 1), (["<s>", "</s>", "<|end_of_text|>"], None, 3), (["<eos>"], None, 1),
        (["</s>", "[SEP]"], None, 2), (["</s>", "<eod>"], "<eod>", 2), (["<END>"], "<END>", 1),
        (["<END>"], None, None),
    ],
)  # fmt: skip
def test_the_end_of_other_tokenizers(names: list[str], end: str | None, eod: int | None) -> None:
    inner = with_marks(*names)
    assert Tokenizer(inner, end).eod == eod
    assert Tokenizer.from_json(inner.to_str(), end).eod == eod


def test_an_end_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="the vocabulary has no <END>"):
        Tokenizer(with_marks("</s>"), "<END>")


@pytest.mark.parametrize("text", ["", "{", "{}", "[]"])
def test_another_text_is_no_tokenizer(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="not a tokenizer: "):
        Tokenizer.from_json(text)
    with pytest.raises(ValueError, match=f"{path} cannot be read as a tokenizer: "):
        Tokenizer.load(path)


@BOTH
def test_a_file_that_cuts_or_fills_its_texts_is_used_without_that(tokenizer: Tokenizer) -> None:
    inner = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    inner.enable_truncation(max_length=3)
    inner.enable_padding(length=9)
    again = Tokenizer.from_json(inner.to_str())
    assert again.encode_batch([TEXT, "a"]) == tokenizer.encode_batch([TEXT, "a"])
    assert again.sha256 == tokenizer.sha256


def test_a_fork_after_encoding_is_silent() -> None:
    program = (
        "import os; from hydratron.data.tokenizer import train_bpe;"
        "t = train_bpe(['a b c'] * 99, 258); t.encode_batch(['a b c'] * 99); pid = os.fork();"
        "ids = t.encode_batch(['a'] * 99); os._exit(0) if pid == 0 else os.waitpid(pid, 0)"
    )
    assert printed(program) == ""
