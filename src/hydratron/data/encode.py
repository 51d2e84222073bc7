"""Texts to tokens, each different word only once.

The byte-level BPE of GPT-2 and BERT's WordPiece tokenize a word without looking at its neighbours,
and text repeats its words: a dictionary of the words seen gives the same tokens several times
faster than the tokenizer itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from hydratron.data.text.cutting import Cut, next_boundary, no_cut
from hydratron.data.tokenizer import Tokenizer

# From one boundary of `next_boundary` to the next, and a cut more: between a letter and a sign of
# ASCII, where no word of either tokenizer goes on.
WORD = re.compile(
    r"[ \n]?[A-Za-z]+(?=[ \n!-/:-@\[-`{-~])"  # a plain word
    r"|\s*\S+(?:[^\S \n]\s*\S*)*"  # anything, to the next boundary
    r"|\s+"  # white space at the end
)
# Bounds on what is held: characters of one pass, and of all words in the dictionary.
PASS_CHARACTERS = 1 << 19
KNOWN_CHARACTERS = 1 << 21


class Encoder:
    """Gives each text its tokens as bytes of `dtype`, without `eod`; exactly the tokenizer's."""

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.cut = safe_cut(tokenizer)
        self._tokenizer = tokenizer
        self._known: dict[str, bytes] = {}
        self._characters = 0

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """The tokens of each text."""
        if self.cut is no_cut:
            return self._encode_anew(texts)
        encoded: list[bytes] = []
        for group in _groups(texts):
            if len(group) == 1 and len(group[0]) > PASS_CHARACTERS:
                encoded.append(b"".join(map(self._encode_long, _slices(group[0]))))
            else:
                encoded.extend(self._encode_words([WORD.findall(text) for text in group]))
        return encoded

    def _encode_long(self, text: str) -> bytes:
        return self._encode_words([WORD.findall(text)])[0]

    def _encode_words(self, texts: list[list[str]]) -> list[bytes]:
        if self._characters > KNOWN_CHARACTERS:
            self._known.clear()
            self._characters = 0
        known = self._known
        # Sorted, so that a run can be repeated to the last step.
        new = sorted(set().union(*texts).difference(known))
        known.update(zip(new, self._encode_anew(new), strict=True))
        self._characters += sum(map(len, new))
        return [b"".join(map(known.__getitem__, words)) for words in texts]

    def _encode_anew(self, texts: Sequence[str]) -> list[bytes]:
        return [np.array(ids, self.dtype).tobytes() for ids in self._tokenizer.encode_batch(texts)]


def safe_cut(tokenizer: Tokenizer) -> Cut:
    """Where a text can be cut for this tokenizer: at spaces and newlines, or nowhere.

    Spaces are safe where the words come from GPT-2's pattern, or from BERT's after its own
    cleaning; with other patterns, such as Llama's, a word may go on over a newline.
    """
    content = json.loads(tokenizer.to_json())
    model, splitter = content["model"], content["pre_tokenizer"] or {}
    plain = all(token["special"] for token in content["added_tokens"])
    if model["type"] == "BPE":
        options = ("dropout", "continuing_subword_prefix", "end_of_word_suffix")
        known = splitter.get("type") == "ByteLevel" and not content["normalizer"]
        plain &= splitter.get("use_regex", False) and not splitter.get("add_prefix_space", True)
        plain &= not any(model.get(option) for option in options)
    else:
        cleaned = (content["normalizer"] or {}).get("type") == "BertNormalizer"
        known = cleaned and splitter.get("type") == "BertPreTokenizer"
    return next_boundary if known and plain else no_cut


def _groups(texts: Iterable[str]) -> Iterator[list[str]]:
    """Consecutive texts of at most `PASS_CHARACTERS` together, or one longer text."""
    group: list[str] = []
    characters = 0
    for text in texts:
        if group and characters + len(text) > PASS_CHARACTERS:
            yield group
            group, characters = [], 0
        group.append(text)
        characters += len(text)
    if group:
        yield group


def _slices(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = next_boundary(text, min(start + PASS_CHARACTERS, len(text)))
        yield text[start:end]
        start = end
