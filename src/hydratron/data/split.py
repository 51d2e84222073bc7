"""Which text is for training and which for validation.

Document i of a source is for validation when i % 20 == 7: about 5 % of the documents, spread over
the corpus, so that neither split is all old or all new.  A corpus of fewer than 8 documents has no
such document; there the last 5 % of the text (of all documents in order, as UTF-8 bytes, from the
next space or newline on) is for validation.  The cut is in the text and not in the tokens, because
the tokenizer is trained on the training split alone and must not decide what that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from hydratron.data.sources import Source
from hydratron.errors import DataError, Problem

TRAIN, VALIDATION = "train", "validation"
SPLITS = (TRAIN, VALIDATION)
PERIOD, REMAINDER = 20, 7
TRAINING_SHARE = 0.95
# Where GPT-2's tokenizer always starts a new piece, so that a cut changes no token.
BOUNDARY = re.compile(r"(?<=\S)(?=[ \n])")
RULE = (
    f"document i: validation when i % {PERIOD} == {REMAINDER}; "
    f"up to {REMAINDER} documents: the last {1 - TRAINING_SHARE:.0%} of the text"
)


def split_documents(source: Source) -> Iterator[tuple[str, str]]:
    """(split, text) of every document in order; a document that is cut gives one text to each."""
    texts = (document.text for document in source.documents())
    first = list(islice(texts, REMAINDER + 1))
    if len(first) <= REMAINDER:
        parts = list(_cut(first))
        if {split for split, _ in parts} != set(SPLITS):
            expected = "too little text: its last 5 %, from a space or newline on, is validation"
            raise DataError([Problem("data.path", source.place, expected)])
        yield from parts
        return
    for i, text in enumerate(chain(first, texts)):
        yield (VALIDATION if i % PERIOD == REMAINDER else TRAIN), text


def _cut(texts: list[str]) -> Iterator[tuple[str, str]]:
    total = sum(len(text.encode()) for text in texts)
    left = int(total * TRAINING_SHARE)
    for text in texts:
        encoded = text.encode()
        # The bytes up to the cut may end inside a character, which then is not counted.
        at = next_boundary(text, len(encoded[: max(left, 0)].decode(errors="ignore")))
        left -= len(encoded)
        if at:
            yield TRAIN, text[:at]
        if at < len(text):
            yield VALIDATION, text[at:]


def next_boundary(text: str, start: int) -> int:
    """The first place from `start` on where text can be cut without changing a token."""
    if start == 0:
        return 0
    found = BOUNDARY.search(text, start)
    return found.start() if found else len(text)
