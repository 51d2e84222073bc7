"""How much of a test set a model has seen: the share of its 8-grams that the training text has.

Exact, where GPT-2's protocol asks a Bloom filter (Radford et al. 2019, section 4; paper, section
5.2).  The paper does not say what a word is; here it is a run of letters a to z and digits of the
text in lower case.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hydratron.data.corpus import open_corpus
from hydratron.data.manifest import TRAIN
from hydratron.evaluation.files import read_lines, read_text

GRAM = 8
WORD = re.compile("[a-z0-9]+")
FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no word is lost in what follows it
Hashes = npt.NDArray[np.uint64]


class Overlap:
    """Shares of test files in training texts, each of which is read once."""

    def __init__(self) -> None:
        self._seen: dict[Path, Hashes] = {}
        self._shares: dict[tuple[Path, str, Path], float] = {}

    def share(self, tokens: Path, task: str, data: Path) -> float:
        """Of all 8-grams of the task's file, those in the training split of a job's tokens.

        `tokens` is the job's `data.prepared`.  DataError where they are not there any more.
        """
        key = tokens, task, data
        if key not in self._shares:
            if tokens not in self._seen:
                self._seen[tokens] = np.unique(grams(_training(tokens)))
            self._shares[key] = share(grams(_test(task, data)), self._seen[tokens])
        return self._shares[key]


def grams(texts: Iterable[str]) -> Hashes:
    """A 64-bit hash of every 8-gram; none reaches over the end of a text."""
    numbers: dict[str, int] = {}
    parts = [np.zeros(0, np.uint64)]
    for text in texts:
        words = WORD.findall(text.lower())
        for word in set(words) - numbers.keys():
            numbers[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
        count = len(words) - GRAM + 1
        if count > 0:
            ids = np.array([numbers[word] for word in words], np.uint64)
            found = np.zeros(count, np.uint64)
            for place in range(GRAM):
                found = found * FACTOR + ids[place : place + count]
            parts.append(found)
    return np.concatenate(parts)


def share(test: Hashes, seen: Hashes) -> float:
    """Of the 8-grams of `test` those in `seen`, which is sorted; 0 for none."""
    if not len(test) or not len(seen):
        return 0.0
    at = np.minimum(np.searchsorted(seen, test), len(seen) - 1)
    return float((seen[at] == test).mean())


def _training(tokens: Path) -> Iterable[str]:
    """The documents of the training split."""
    corpus = open_corpus(tokens)
    for part in corpus.splits[TRAIN]:
        for number in range(*part.sequences.indices(len(part.dataset))):
            yield corpus.tokenizer.decode(part.dataset[number].tolist())


def _test(task: str, data: Path) -> Iterable[str]:
    if task == "lambada":
        return read_lines(data, "text")[0]
    return [read_text(data)[0]]
