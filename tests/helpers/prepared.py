"""Folders of prepared tokens, made up, for tests that read or train."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter, hashes, token_dtype
from hydratron.data.manifest import TOKENIZER, DatasetEntry, Manifest, write_manifest

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = {name: i for i, name in enumerate((*SPECIAL, *(f"w{i}" for i in range(55))))}
WORDPIECE = json.dumps({"model": {"type": "WordPiece", "vocab": VOCABULARY}})

Document = Sequence[Sequence[int] | npt.NDArray[np.int64]]
"""The sequences of one document."""


def synthetic_prepared(path: Path, vocab_size: int, tokens: int = 6000) -> Path:
    """Documents in which each token mostly follows from the one before, so that a model can learn.

    Half of the possible tokens occur, the largest among them.
    """
    random = np.random.default_rng(0)
    used = np.unique(np.linspace(0, vocab_size - 1, min(vocab_size, 48)).astype(np.int64))
    follower = random.permutation(len(used))
    splits = {}
    for name, length in (("train", tokens), ("validation", tokens // 4)):
        state, ids = 0, []
        for jump in random.random(length):
            state = int(random.integers(len(used))) if jump < 0.2 else int(follower[state])
            ids.append(used[state])
        splits[name] = [[document] for document in np.array_split(np.array(ids), 10)]
    return prepared_folder(path, splits, vocab_size)


def sentences_prepared(path: Path) -> Path:
    """Sentences of different lengths that count upwards, so that BERT can learn both losses."""
    random = np.random.default_rng(0)

    def document() -> list[list[int]]:
        at = int(random.integers(20))
        sentences = []
        for length in random.integers(2, 12, size=int(random.integers(2, 8))):
            sentences.append([5 + (at + i) % 55 for i in range(int(length))])
            at += int(length)
        return sentences

    splits = {
        name: [document() for _ in range(n)] for name, n in (("train", 90), ("validation", 30))
    }
    return prepared_folder(path, splits, 60, level="sentence", tokenizer=WORDPIECE)


def prepared_folder(
    path: Path,
    datasets: Mapping[str, Sequence[Document]],
    vocab_size: int,
    level: str = "document",
    tokenizer: str = "{}",
) -> Path:
    """A folder as `hydratron prepare` writes it, of the documents of each dataset."""
    path.mkdir(parents=True)
    entries = {}
    for name, documents in datasets.items():
        with IndexedDatasetWriter(path / name, token_dtype(vocab_size)) as writer:
            for document in documents:
                writer.add_document(document)
        entries[name] = DatasetEntry.of(IndexedDataset(path / name), hashes(path / name))
    (path / TOKENIZER).write_text(tokenizer)
    manifest = Manifest(
        level=level,
        tokenizer={"kind": "synthetic", "sha256": f"hash of {tokenizer}"},
        vocab_size=vocab_size,
        eod=vocab_size - 1,
        dtype=token_dtype(vocab_size).name,
        datasets=entries,
        origin={},
        versions={},
    )
    write_manifest(path, manifest)
    return path
