"""One tokenizer of either family, and its file: `tokenizer.json`, which Hugging Face reads as well.

The special entries stand for themselves only: a text that spells `<|endoftext|>` or `[SEP]` is
ordinary characters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import tokenizers

from hydratron.data.samples.bert_tokens import SEP
from hydratron.errors import DataError, Problem
from hydratron.job import write_text

END_OF_TEXT = "<|endoftext|>"
# What ends a document in published tokenizers; the first that a vocabulary has is taken.
ENDS = (
    END_OF_TEXT,  # GPT-2, GPT-NeoX, OLMo, Phi, Qwen
    SEP,  # BERT
    "<|end_of_text|>",  # Llama 3, Granite
    "</s>",  # Llama 2, Mistral, T5, RoBERTa
    "<eos>",  # Gemma
    "<eod>",  # XLNet
    "<\uff5cend\u2581of\u2581sentence\uff5c>",  # DeepSeek
)
TOKENIZER_FILE = "tokenizer.json"


class Tokenizer:
    """Text to ids and back; ids are below `vocab_size`.

    `eod` ends a document: the id of the entry that `end` names, else of the first of ENDS that the
    vocabulary has, or None when it has none of them; `end` is then its name.  Raises ValueError
    when it lacks the `end` that is given.
    """

    def __init__(self, inner: tokenizers.Tokenizer, end: str | None = None) -> None:
        known = (
            name for name in (ENDS if end is None else [end]) if inner.token_to_id(name) is not None
        )
        self.end: str | None = next(known, None)
        self.eod: int | None = None if self.end is None else inner.token_to_id(self.end)
        if end is not None and self.eod is None:
            raise ValueError(f"the vocabulary has no {end}")
        # A text that spells a special entry must not give it; the file does not keep this.
        inner.encode_special_tokens = True
        # Published files may cut or fill a text to the length of some model.
        inner.no_truncation()
        inner.no_padding()
        self._inner = inner
        self.vocab_size: int = max(inner.get_vocab().values()) + 1

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without a mark at either end."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, on all cores."""
        encodings = self._inner.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def encode_with_offsets(
        self, texts: Sequence[str]
    ) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """The same, with the first and the past-the-last character of each token in its text."""
        encodings = self._inner.encode_batch(texts, add_special_tokens=False)
        return [(encoding.ids, encoding.offsets) for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; special entries are shown, and a cut character becomes U+FFFD."""
        return str(self._inner.decode(ids, skip_special_tokens=False))

    @property
    def entries(self) -> dict[str, int]:
        """Every entry with its id."""
        return dict(self._inner.get_vocab())

    def token_id(self, name: str) -> int | None:
        """The id of one entry, or None when the vocabulary lacks it."""
        found: int | None = self._inner.token_to_id(name)
        return found

    @property
    def sha256(self) -> str:
        """Hash of the whole definition, the same on every machine."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The whole definition in one line, for another process."""
        return str(self._inner.to_str())

    @classmethod
    def from_json(cls, text: str, end: str | None = None) -> Tokenizer:
        """Read what `to_json` wrote; ValueError when the text is no such tokenizer."""
        try:
            return cls(tokenizers.Tokenizer.from_str(text), end)
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"not a tokenizer: {error}") from error

    def save(self, path: Path) -> None:
        """Write a `tokenizer.json`."""
        write_text(path, self._inner.to_str(pretty=True))

    @classmethod
    def load(cls, path: Path, end: str | None = None) -> Tokenizer:
        """Read what `save` wrote; ValueError when the file is no such tokenizer."""
        try:
            return cls(tokenizers.Tokenizer.from_file(str(path)), end)
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path} cannot be read as a tokenizer: {error}") from error


def refuse_path(value: Any, expected: str) -> NoReturn:
    """The one line for a `tokenizer.path` that cannot be used."""
    raise DataError([Problem("tokenizer.path", value, expected)])


def refuse_size(value: int, expected: str) -> NoReturn:
    """The one line for a `tokenizer.vocab_size` that the text does not fit."""
    raise DataError([Problem("tokenizer.vocab_size", value, expected)])
