"""The tokenizer of a preparation: opened, or trained on its text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hydratron.data.tokenizer import Tokenizer, open_bert, open_gpt2, train_bpe, train_wordpiece

OPENERS: dict[str, Callable[[str | None], Tokenizer]] = {"gpt2": open_gpt2, "bert": open_bert}
TRAINERS: dict[str, Callable[[Iterable[str], int], Tokenizer]] = {
    "bpe": train_bpe,
    "wordpiece": train_wordpiece,
}


def tokenizer_identity(kind: str, vocab_size: int, opened: Tokenizer | None) -> dict[str, Any]:
    """What decides the tokenizer, apart from the text that it is trained on."""
    import tokenizers

    if opened is not None:
        return {"kind": kind, "sha256": opened.sha256}
    trained_by = f"tokenizers {tokenizers.__version__}"
    return {"kind": kind, "vocab_size": vocab_size, "trained_by": trained_by}
