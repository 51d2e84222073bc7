"""Which text is for training and which for validation.

Document i of a source is for validation when i % 20 == 7: about 5 % of the documents, spread over
the corpus, so that neither split is all old or all new.  A corpus of fewer than 8 documents has no
such document; there the last 5 % of the text (of all documents in order, as UTF-8 bytes, from the
next space or newline on) is for validation.  The cut is in the text and not in the tokens, because
the tokenizer is trained on the training split alone and must not decide what that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hydratron.data.manifest import SPLITS, TRAIN, VALIDATION
from hydratron.data.text.cutting import Cut, Piece, next_boundary
from hydratron.data.text.files import Advance
from hydratron.data.text.sources import Source
from hydratron.errors import DataError, Problem

PERIOD, REMAINDER = 20, 7
TRAINING_SHARE = 0.95
RULE = (
    f"document i: validation when i % {PERIOD} == {REMAINDER}; "
    f"up to {REMAINDER} documents: the last {1 - TRAINING_SHARE:.0%} of the text"
)


class SplitPiece(NamedTuple):
    """A part of a document of one split, and whether the document ends with it."""

    split: str
    text: str
    ends: bool


def split_pieces(source: Source, advance: Advance, cut: Cut) -> Iterator[SplitPiece]:
    """Every document in order, in pieces; one that is cut gives a document to each split."""
    total = _bytes_of_few(source, cut)
    pieces = source.pieces(advance, cut)
    if total is None:
        yield from _by_number(pieces)
        return
    seen = set()
    for piece in _by_length(pieces, int(total * TRAINING_SHARE)):
        seen.add(piece.split)
        yield piece
    if seen != set(SPLITS):
        expected = "too little text: its last 5 %, from a space or newline on, is validation"
        raise DataError([Problem("data.path", source.place, expected)])


def _bytes_of_few(source: Source, cut: Cut) -> int | None:
    """The bytes of all documents as UTF-8, or None when there are enough to count documents."""
    documents = total = 0
    for piece in source.pieces(lambda _: None, cut):
        documents += piece.ends
        total += len(piece.text.encode())
        if documents > REMAINDER:
            return None
    return total


def _by_number(pieces: Iterable[Piece]) -> Iterator[SplitPiece]:
    i = 0
    for text, ends in pieces:
        yield SplitPiece(VALIDATION if i % PERIOD == REMAINDER else TRAIN, text, ends)
        i += ends


def _by_length(pieces: Iterable[Piece], left: int) -> Iterator[SplitPiece]:
    """The first `left` bytes, up to the next boundary, are for training."""
    training = False
    for text, ends in pieces:
        encoded = text.encode()
        # The bytes up to the cut may end inside a character, which then is not counted.
        at = next_boundary(text, len(encoded[: max(left, 0)].decode(errors="ignore")))
        left -= len(encoded)
        if at or training:
            training = at == len(text) and not ends
            yield SplitPiece(TRAIN, text[:at], not training)
        if at < len(text):
            yield SplitPiece(VALIDATION, text[at:], ends)
