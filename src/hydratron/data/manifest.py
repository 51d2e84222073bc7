"""The manifest of a prepared folder: which datasets are in it, what made them, and their hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydratron.data.indexed import IndexedDataset
from hydratron.errors import DataError, Problem
from hydratron.job import read_json, write_json

FORMAT = 2
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
# The datasets of the training cache, which is split as it is written.
TRAIN, VALIDATION = "train", "validation"
SPLITS = (TRAIN, VALIDATION)
DOCUMENT, SENTENCE = "document", "sentence"
LEVELS = (DOCUMENT, SENTENCE)


@dataclass(frozen=True)
class DatasetEntry:
    """One token file: its size, and the hashes of both of its files (`bin` and `idx`)."""

    documents: int
    sequences: int
    tokens: int
    sha256: Mapping[str, str]

    @classmethod
    def of(cls, dataset: IndexedDataset, sha256: Mapping[str, str]) -> DatasetEntry:
        """What an open token file is, with the hashes that are known."""
        return cls(dataset.documents, len(dataset), dataset.tokens, sha256)


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says; `origin` is all that decides the content of the folder.

    `level` is what a sequence is: a whole document, or a sentence of one.  `tokenizer` has at least
    `kind` and `sha256`.  There are no time stamps: the same input gives the same bytes.
    """

    level: str
    tokenizer: Mapping[str, Any]
    vocab_size: int
    eod: int | None
    dtype: str
    datasets: Mapping[str, DatasetEntry]
    origin: Mapping[str, Any]
    versions: Mapping[str, str]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it, as the last file of the folder."""
    write_json(folder / MANIFEST, {"format": FORMAT} | asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a prepared folder; DataError when there is none that this version reads."""
    try:
        content = read_json(folder / MANIFEST)
    except (OSError, ValueError) as error:
        _refuse(folder, f"{MANIFEST} cannot be read: {error}")
    if content is None:
        _refuse(folder, f"no {MANIFEST}; expected a folder that hydratron prepared")
    try:
        found = content.pop("format", None)
        if found != FORMAT:
            _refuse(folder, f"format {found}; this version reads {FORMAT}: prepare it again")
        datasets = content.pop("datasets")
        entries = {name: DatasetEntry(**entry) for name, entry in datasets.items()}
        manifest = Manifest(datasets=entries, **content)
        if manifest.level not in LEVELS or "sha256" not in manifest.tokenizer:
            raise ValueError(f"level {manifest.level!r}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        _refuse(folder, f"{MANIFEST} is not one that hydratron wrote: {error}")
    return manifest


def _refuse(folder: Path, expected: str) -> NoReturn:
    raise DataError([Problem("data.prepared", folder, expected)])
