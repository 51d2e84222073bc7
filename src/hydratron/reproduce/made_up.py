"""Tokens that nobody wrote, for what is measured and not learnt: no text, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hydratron.config.schema import Config
from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter, hashes, token_dtype
from hydratron.data.kept import kept
from hydratron.data.manifest import SPLITS, TOKENIZER, DatasetEntry, Manifest, write_manifest
from hydratron.hashing import json_sha256
from hydratron.job import write_text

TOKENS, DOCUMENTS = 500_000, 500


def made_up_tokens(config: Config) -> Path:
    """A folder of them with the job's `tokenizer.vocab_size`, kept in its cache like a text's.

    Frequencies fall as in a text.  Raises DataError for a cache that cannot be written.
    """
    vocabulary = config.tokenizer.vocab_size
    identity = {"made up for": "speed", "vocabulary": vocabulary, "tokens": TOKENS}

    def build(folder: Path, _: Any) -> None:
        random = np.random.default_rng(0)
        weights = 1.0 / (np.arange(vocabulary) + 10.0)
        entries = {}
        for name in SPLITS:
            ids = random.choice(vocabulary, TOKENS, p=weights / weights.sum())
            with IndexedDatasetWriter(folder / name, token_dtype(vocabulary)) as writer:
                for document in np.array_split(ids, DOCUMENTS):
                    writer.add_document([document])
            entries[name] = DatasetEntry.of(IndexedDataset(folder / name), hashes(folder / name))
        write_text(folder / TOKENIZER, "{}")
        told = {"kind": "made up", "sha256": json_sha256(identity)}
        dtype = token_dtype(vocabulary).name
        manifest = Manifest("document", told, vocabulary, 0, dtype, entries, identity, {})
        write_manifest(folder, manifest)

    return kept(config.data.cache_dir, identity, build, progress=False)
