"""Byte-level BPE: trained on a corpus, or GPT-2's own from its published files.

Every text has an encoding and comes back from it unchanged.  `<|endoftext|>` has the last id, as in
GPT-2, and only marks the end of a document: in a text it is ordinary characters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from hydratron.errors import DataError, Problem
from hydratron.job import write_text

END_OF_TEXT = "<|endoftext|>"
GPT2_FILES = ("encoder.json", "vocab.bpe")
TOKENIZER_FILE = "tokenizer.json"


class Tokenizer:
    """Text to ids and back; ids are below `vocab_size`, and `eod` ends a document."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        eod = inner.token_to_id(END_OF_TEXT)
        if eod is None:
            raise ValueError(f"the vocabulary has no {END_OF_TEXT}")
        # A text that spells <|endoftext|> must not end a document; the file does not keep this.
        inner.encode_special_tokens = True
        self._inner = inner
        self.eod: int = eod
        self.vocab_size: int = max(inner.get_vocab().values()) + 1

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without a mark at either end."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, on all cores."""
        encodings = self._inner.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; `eod` is shown, and a cut character becomes U+FFFD."""
        return str(self._inner.decode(ids, skip_special_tokens=False))

    @property
    def sha256(self) -> str:
        """Hash of the whole definition, the same on every machine."""
        return hashlib.sha256(self._inner.to_str().encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write a `tokenizer.json` that Hugging Face reads as well."""
        write_text(path, self._inner.to_str(pretty=True))

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read what `save` wrote; ValueError when the file is no such tokenizer."""
        try:
            return cls(tokenizers.Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path} cannot be read as a tokenizer: {error}") from error


def train_bpe(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn `vocab_size` entries: the 256 bytes, merges, and `<|endoftext|>` as the last id.

    Deterministic.  Raises DataError when the texts do not give that many entries.
    """
    inner = _byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    # After the training, which numbers its own entries from 0.
    inner.add_special_tokens([END_OF_TEXT])
    tokenizer = Tokenizer(inner)
    if tokenizer.vocab_size < vocab_size:
        expected = f"the training split gives at most {tokenizer.vocab_size} entries"
        raise DataError([Problem("tokenizer.vocab_size", vocab_size, expected)])
    return tokenizer


def open_gpt2(path: str | None) -> Tokenizer:
    """GPT-2's tokenizer from `tokenizer.path`; DataError when its files are not there."""
    expected = f"a folder with {' and '.join(GPT2_FILES)}, or a {TOKENIZER_FILE}"
    if not path:
        _refuse("null", f"tokenizer=gpt2 needs {expected}")
    try:
        files = gpt2_files(Path(path).expanduser())
        if len(files) == 1:
            return Tokenizer.load(files[0])
        inner = _byte_level(models.BPE.from_file(*map(str, files)))
        # An entry of the vocabulary already, so this keeps its id.
        inner.add_special_tokens([END_OF_TEXT])
        return Tokenizer(inner)
    except FileNotFoundError:
        _refuse(path, f"must be {expected}")
    except Exception as error:  # the library raises bare Exception
        _refuse(path, f"cannot be used: {error}")


def gpt2_files(path: Path) -> list[Path]:
    """The files that define GPT-2's tokenizer in a folder, or the one file that does."""
    if path.is_file():
        return [path]
    for names in (GPT2_FILES, (TOKENIZER_FILE,)):
        files = [path / name for name in names]
        if all(file.is_file() for file in files):
            return files
    raise FileNotFoundError(path)


def _byte_level(model: models.Model) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return inner


def _refuse(value: Any, expected: str) -> NoReturn:
    raise DataError([Problem("tokenizer.path", value, expected)])
