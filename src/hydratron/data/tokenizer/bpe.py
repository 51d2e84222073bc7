"""Byte-level BPE: trained on a corpus, or GPT-2's own from its published files.

Every text has an encoding and comes back from it unchanged.  `<|endoftext|>` has the last id, as in
GPT-2, and only marks the end of a document.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from hydratron.data.tokenizer.tokenizer import (
    END_OF_TEXT,
    TOKENIZER_FILE,
    Tokenizer,
    refuse_path,
    refuse_size,
)
from hydratron.data.tokenizer.training import train

GPT2_FILES = ("encoder.json", "vocab.bpe")


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
    train(inner, texts, trainer)
    # After the training, which numbers its own entries from 0.
    inner.add_special_tokens([END_OF_TEXT])
    tokenizer = Tokenizer(inner)
    if tokenizer.vocab_size < vocab_size:
        refuse_size(vocab_size, f"the text gives at most {tokenizer.vocab_size} entries")
    return tokenizer


def open_gpt2(path: str | None, end: str | None = None) -> Tokenizer:
    """GPT-2's tokenizer from `tokenizer.path`; DataError when its files are not there.

    `end` names the entry that ends a document, if it is another than usual.
    """
    expected = f"a folder with {' and '.join(GPT2_FILES)}, or a {TOKENIZER_FILE}"
    if not path:
        refuse_path("null", f"tokenizer=gpt2 needs {expected}")
    try:
        files = gpt2_files(Path(path))
        if len(files) == 1:
            return Tokenizer.load(files[0], end)
        inner = _byte_level(models.BPE.from_file(*map(str, files)))
        # An entry of the vocabulary already, so this keeps its id.
        inner.add_special_tokens([END_OF_TEXT])
        return Tokenizer(inner, end)
    except FileNotFoundError:
        refuse_path(path, f"must be {expected}")
    except Exception as error:  # the library raises bare Exception
        refuse_path(path, f"cannot be used: {error}")


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
