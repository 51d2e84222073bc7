"""The tokenizer of a preparation: opened, or trained on its text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hydratron.data.tokenizer import Tokenizer, open_bert, open_gpt2, train_bpe, train_wordpiece
from hydratron.data.tokenizer.tokenizer import ENDS
from hydratron.errors import DataError, Problem

OPENERS: dict[str, Callable[[str | None, str | None], Tokenizer]] = {
    "gpt2": open_gpt2,
    "bert": open_bert,
}
TRAINERS: dict[str, Callable[[Iterable[str], int], Tokenizer]] = {
    "bpe": train_bpe,
    "wordpiece": train_wordpiece,
}


def check_end(opened: Tokenizer | None, key: str, value: object, advice: str) -> None:
    """Raise DataError for a tokenizer without an entry to end a document with."""
    if opened is not None and opened.eod is None:
        known = ", ".join(ENDS)
        raise DataError([Problem(key, value, f"has none of {known} to end a document; {advice}")])


def tokenizer_identity(
    kind: str, vocab_size: int, opened: Tokenizer | None, end: str | None
) -> dict[str, Any]:
    """What decides the tokenizer, apart from the text that it is trained on; `end` if named."""
    import tokenizers

    if opened is not None:
        named = {} if end is None else {"eod": end}
        return {"kind": kind, "sha256": opened.sha256, **named}
    trained_by = f"tokenizers {tokenizers.__version__}"
    return {"kind": kind, "vocab_size": vocab_size, "trained_by": trained_by}
