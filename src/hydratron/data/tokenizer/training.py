"""The library's training, in time that grows with the text, and ended by Ctrl-C."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from itertools import pairwise

import tokenizers
from tokenizers import trainers

from hydratron.data.interruptible import interruptible

# The library takes the square of a word's length, and words of a crawl have no end: base64, DNA, a
# line of dashes.  No word of a language is that long; what is longer is learnt in pieces.
LONGEST_WORD = 256
LONG_RUN = re.compile(rf"(?<!\S)\S{{{LONGEST_WORD + 1},}}|(?<!\s)\s{{{LONGEST_WORD + 1},}}")


def train(inner: tokenizers.Tokenizer, texts: Iterable[str], trainer: trainers.Trainer) -> None:
    """Train `inner` on the texts, whose errors are raised here.

    That may take minutes.  Once it is interrupted, the library gets no more text.
    """
    stop = threading.Event()

    def given() -> Iterator[str]:
        for text in bounded(texts):
            if stop.is_set():
                raise InterruptedError
            yield text

    try:
        interruptible(lambda: inner.train_from_iterator(given(), trainer))
    finally:
        stop.set()


def bounded(texts: Iterable[str]) -> Iterator[str]:
    """The texts, cut so that none has a run of letters or of spaces longer than LONGEST_WORD."""
    for text in texts:
        cuts = [0]
        for run in LONG_RUN.finditer(text):
            cuts.extend(range(run.start() + LONGEST_WORD, run.end(), LONGEST_WORD))
        yield from (text[start:end] for start, end in pairwise([*cuts, len(text)]))
