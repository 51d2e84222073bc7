"""What BERT samples need of a tokenizer, read from its `tokenizer.json` with no library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from hydratron.errors import DataError, Problem
from hydratron.job import read_json

PAD, CLS, SEP, MASK = "[PAD]", "[CLS]", "[SEP]", "[MASK]"
CONTINUATION = "##"


@dataclass(frozen=True, eq=False)
class BertTokens:
    """The ids of the special entries, and which entries go on with a word."""

    cls: int
    sep: int
    mask: int
    pad: int
    vocab_size: int
    continuation: npt.NDArray[np.bool_]
    """True where an entry starts with "##", [vocab_size]."""


def bert_tokens(path: Path) -> BertTokens:
    """Read a WordPiece `tokenizer.json`; DataError when it is none or lacks a special entry."""
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        _refuse(path, f"cannot be read: {error}")
    try:
        if content is None:
            _refuse(path, "does not exist")
        if content["model"].get("type") != "WordPiece":
            _refuse(path, "not a WordPiece tokenizer, which BERT samples need")
        vocabulary: dict[str, int] = dict(content["model"]["vocab"])
        vocabulary |= {entry["content"]: entry["id"] for entry in content.get("added_tokens") or []}
        vocab_size = max(vocabulary.values()) + 1
        continuation = np.zeros(vocab_size, bool)
        for name, i in vocabulary.items():
            continuation[i] |= name.startswith(CONTINUATION)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        _refuse(path, f"not a tokenizer file: {error!r}")
    for name in (PAD, CLS, SEP, MASK):
        if name not in vocabulary:
            _refuse(path, f"the vocabulary has no {name}")
    special = {"cls": CLS, "sep": SEP, "mask": MASK, "pad": PAD}
    ids = {field: vocabulary[name] for field, name in special.items()}
    return BertTokens(**ids, vocab_size=vocab_size, continuation=continuation)


def _refuse(path: Path, expected: str) -> NoReturn:
    raise DataError([Problem("tokenizer", path, expected)])
