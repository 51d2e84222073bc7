"""A folder of prepared tokens made up of a simple language, for tests that train."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hydratron.data.indexed import IndexedDatasetWriter, token_dtype
from hydratron.data.prepared import FORMAT, MANIFEST, TOKENIZER
from hydratron.job import write_json


def synthetic_prepared(path: Path, vocab_size: int, tokens: int = 6000) -> Path:
    """Documents in which each token mostly follows from the one before, so that a model can learn.

    Half of the possible tokens occur, the largest among them.
    """
    random = np.random.default_rng(0)
    used = np.unique(np.linspace(0, vocab_size - 1, min(vocab_size, 48)).astype(np.int64))
    follower = random.permutation(len(used))
    path.mkdir(parents=True)
    splits = {}
    for name, length in (("train", tokens), ("validation", tokens // 4)):
        state, ids = 0, []
        for jump in random.random(length):
            state = int(random.integers(len(used))) if jump < 0.2 else int(follower[state])
            ids.append(used[state])
        with IndexedDatasetWriter(path / name, token_dtype(vocab_size)) as writer:
            for document in np.array_split(np.array(ids), 10):
                writer.add_document([document])
        splits[name] = {"documents": 10, "tokens": length}
    (path / TOKENIZER).write_text("{}")
    content = {"format": FORMAT, "vocab_size": vocab_size, "eod": vocab_size - 1, "splits": splits}
    write_json(path / MANIFEST, content)
    return path
