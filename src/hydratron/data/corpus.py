"""The tokens of a job, opened: which part of which token files trains and which validates.

A job's `data.prepared` is a folder of tokens, with the files `train` and `validation`, or a
selection, which names parts of token files that lie elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from hydratron.data.indexed import IndexedDataset, token_dtype
from hydratron.data.manifest import (
    SENTENCE,
    SPLITS,
    TOKENIZER,
    TRAIN,
    DatasetEntry,
    read_manifest,
)
from hydratron.errors import DataError, Problem
from hydratron.hashing import json_sha256
from hydratron.job import read_json

if TYPE_CHECKING:
    from hydratron.data.tokenizer import Tokenizer

SELECTION = "selection.json"
SELECTION_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the units of one token file, and its share of the samples of a blend.

    A unit is a document where its sentences are sequences, else a sequence.
    """

    dataset: IndexedDataset
    first: int
    last: int
    weight: float
    sentences: bool

    @property
    def documents(self) -> npt.NDArray[np.int64]:
        """Where the documents of the part start in the file's sequences, and where they end."""
        return self.dataset.doc_idx[self.first : self.last + 1]

    @cached_property
    def sequences(self) -> slice:
        """The sequences of the units `first` up to, not including, `last`."""
        if not self.sentences:
            return slice(self.first, self.last)
        return slice(int(self.documents[0]), int(self.documents[-1]))

    @cached_property
    def tokens(self) -> int:
        return int(self.dataset.sizes[self.sequences].sum(dtype="i8"))


@dataclass(frozen=True, eq=False)
class Corpus:
    """Both splits of the tokens; ids are below `vocab_size`, and `eod` closes a document,
    unless the tokenizer has no such entry.
    """

    path: Path
    splits: Mapping[str, tuple[Part, ...]]
    vocab_size: int
    eod: int | None
    tokenizer_sha256: str
    identity: str
    """Hash of what the tokens are: the files' hashes, the parts and the tokenizer."""

    @property
    def sentences(self) -> bool:
        """Whether the sequences are sentences, for BERT, and not whole documents."""
        return self.splits[TRAIN][0].sentences

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the tokens; DataError when the file is another one."""
        from hydratron.data.tokenizer import Tokenizer

        try:
            tokenizer = Tokenizer.load(self.path / TOKENIZER)
        except ValueError as error:
            _refuse(self.path, str(error))
        if tokenizer.sha256 != self.tokenizer_sha256:
            _refuse(self.path, f"{TOKENIZER} is not the one that made the tokens")
        return tokenizer


def open_corpus(path: str | Path) -> Corpus:
    """Open a job's data; DataError when they are missing, damaged or of another time.

    Sizes, offsets and counts are checked; the hashes are not, `hydratron prepare --verify` does.
    """
    path = Path(path).absolute()
    return _selection(path) if (path / SELECTION).exists() else _folder(path)


def _folder(path: Path) -> Corpus:
    manifest = read_manifest(path)
    if not (path / TOKENIZER).is_file():
        _refuse(path, f"no {TOKENIZER}; remove the folder to prepare it again")
    if missing := set(SPLITS) - set(manifest.datasets):
        expected = (
            f"has no {' and no '.join(sorted(missing))} split; give it as data=indexed data.path"
        )
        _refuse(path, expected)
    splits = {}
    for name in SPLITS:
        dataset = open_entry(path / name, manifest.datasets[name])
        if dataset.dtype != token_dtype(manifest.vocab_size):
            _refuse(path, f"{name} is of {dataset.dtype}, not for {manifest.vocab_size} entries")
        sentences = manifest.level == SENTENCE
        units = dataset.documents if sentences else len(dataset)
        splits[name] = (Part(dataset, 0, units, 1.0, sentences),)
    hashes = {name: dict(manifest.datasets[name].sha256) for name in SPLITS}
    sha256 = manifest.tokenizer["sha256"]
    identity = json_sha256({"tokenizer": sha256, "level": manifest.level, "splits": hashes})
    return Corpus(path, splits, manifest.vocab_size, manifest.eod, sha256, identity)


def _selection(path: Path) -> Corpus:
    try:
        content = read_json(path / SELECTION)
        assert content is not None  # `open_corpus` saw the file.
        if content["format"] != SELECTION_FORMAT:
            _refuse(path, f"format {content['format']}; this version reads {SELECTION_FORMAT}")
        splits = {
            name: tuple(_part(part, content["sentences"]) for part in content["splits"][name])
            for name in SPLITS
        }
        tokenizer = content["tokenizer"]["sha256"]
        sizes = content["vocab_size"], content["eod"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        _refuse(path, f"{SELECTION} is not one that hydratron wrote: {error!r}")
    return Corpus(path, splits, *sizes, tokenizer, json_sha256(content["identity"]))


def _part(part: Mapping[str, Any], sentences: bool) -> Part:
    dataset = open_entry(part["prefix"], DatasetEntry(**part["entry"]))
    return Part(dataset, part["first"], part["last"], part["weight"], sentences)


def open_entry(prefix: str | Path, entry: DatasetEntry) -> IndexedDataset:
    """A token file that still has the counts which were written down; else DataError."""
    dataset = IndexedDataset(prefix)
    found = DatasetEntry.of(dataset, entry.sha256)
    if found != entry:
        told = f"{entry.documents} documents, {entry.sequences} sequences, {entry.tokens} tokens"
        now = f"{found.documents}, {found.sequences} and {found.tokens}"
        problem = Problem("token file", prefix, f"had {told} when it was prepared, now {now}")
        raise DataError([problem])
    return dataset


def _refuse(path: Path, expected: str) -> NoReturn:
    raise DataError([Problem("data.prepared", path, expected)])
