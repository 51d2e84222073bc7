"""`data=indexed` and `data=blend`: token files that exist are taken as they are.

What a job reads of them is written to a small folder in the cache, so that its ranks need neither
the split string nor the tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydratron.config.schema import DataConfig, TokenizerConfig
from hydratron.data.corpus import SELECTION, SELECTION_FORMAT, Part, open_entry
from hydratron.data.folders import locked, replacing
from hydratron.data.indexed import IndexedDataset, idx_path
from hydratron.data.manifest import (
    MANIFEST,
    SENTENCE,
    SPLITS,
    TOKENIZER,
    DatasetEntry,
    Manifest,
    read_manifest,
)
from hydratron.data.progress import LateProgress
from hydratron.data.samples.split import split_bounds
from hydratron.errors import DataError, Problem
from hydratron.hashing import file_sha256, json_sha256
from hydratron.job import write_json, write_text


@dataclass(frozen=True, eq=False)
class TokenSet:
    """One set of a blend; `manifest` is that of its folder, None for a bare pair of files."""

    place: str
    prefix: Path
    dataset: IndexedDataset
    entry: DatasetEntry
    manifest: Manifest | None


@dataclass(frozen=True)
class Vocabulary:
    """Which tokenizer made the tokens; `file` is its definition where there is one."""

    size: int
    eod: int | None
    sha256: str
    file: str


def select(data: DataConfig, tokenizer: TokenizerConfig, *, sentences: bool) -> Path:
    """The absolute path of the folder that names a job's parts of the token files.

    `sentences` asks for sets whose documents are split into sentences (BERT), else for whole
    documents.  Raises DataError.
    """
    key = "data.paths" if data.source == "blend" else "data.path"
    places = data.paths if data.source == "blend" else [data.path or ""]
    sets = [find(place, key) for place in places]
    for one in sets:
        _check_level(one, key, sentences)
    vocabulary = _vocabulary(sets, tokenizer, key)
    parts = _parts(sets, data.split, data.weights, sentences, key)
    splits = {
        name: [_described(one, part) for one, part in zip(sets, parts[name], strict=True)]
        for name in SPLITS
    }
    # The same tokens are the same data wherever they lie.
    identity = {name: [part | {"prefix": None} for part in splits[name]] for name in SPLITS}
    content = {
        "format": SELECTION_FORMAT,
        "sentences": sentences,
        "tokenizer": {"kind": tokenizer.kind, "sha256": vocabulary.sha256},
        "vocab_size": vocabulary.size,
        "eod": vocabulary.eod,
        "splits": splits,
        "identity": identity | {"tokenizer": vocabulary.sha256, "sentences": sentences},
    }
    return _write(Path(data.cache_dir).absolute(), content, vocabulary.file)


def find(place: str, key: str) -> TokenSet:
    """The token set that a user names by its folder or its prefix; DataError when there is none."""
    path = Path(place).absolute()
    if path.suffix in (".bin", ".idx") and path.is_file():
        path = path.with_suffix("")
    if path.is_dir():
        manifest = read_manifest(path)
        if len(manifest.datasets) != 1:
            names = ", ".join(str(path / name) for name in manifest.datasets)
            _refuse(key, place, f"has several sets; name one: {names}")
        path /= next(iter(manifest.datasets))
    elif not idx_path(path).is_file():
        _refuse(key, place, f"neither a prepared folder, nor is there {idx_path(path)}")
    beside = (path.parent / MANIFEST).is_file()
    known = read_manifest(path.parent) if beside else None
    if known is not None and path.name in known.datasets:
        entry = known.datasets[path.name]
        return TokenSet(place, path, open_entry(path, entry), entry, known)
    dataset = IndexedDataset(path)
    if dataset.dtype.kind == "f":
        _refuse(key, place, f"holds {dataset.dtype}, not tokens")
    # The tokens themselves may be larger than what can be read before every job.
    entry = DatasetEntry.of(dataset, {"idx": file_sha256(idx_path(path))})
    return TokenSet(place, path, dataset, entry, None)


def _check_level(one: TokenSet, key: str, sentences: bool) -> None:
    if one.manifest is not None:
        split_up = one.manifest.level == SENTENCE
    else:
        # A bare pair of files does not say; GPT reads any sequences as documents (Megatron-LM).
        split_up = sentences and one.dataset.documents != len(one.dataset)
    if sentences and not split_up:
        _refuse(key, one.place, "BERT needs sentences; prepare it with --sentences")
    if split_up and not sentences:
        _refuse(key, one.place, "these are sentences, for BERT; prepare it without --sentences")


def _vocabulary(sets: Sequence[TokenSet], config: TokenizerConfig, key: str) -> Vocabulary:
    asked = None
    if config.kind != "prepared":
        from hydratron.data.preparer.tokenize import OPENERS

        tokenizer = OPENERS[config.kind](config.path, config.eod)
        asked = Vocabulary(
            tokenizer.vocab_size, tokenizer.eod, tokenizer.sha256, tokenizer.to_json()
        )
    for one in sets:
        if one.manifest is None:
            if asked is None:
                expected = (
                    f"{one.place} has no {MANIFEST} to tell; tokenizer=gpt2 or tokenizer=bert"
                )
                _refuse("tokenizer.kind", config.kind, f"{expected}, with tokenizer.path")
            continue
        made_by = one.manifest.tokenizer
        own = Vocabulary(
            one.manifest.vocab_size,
            one.manifest.eod,
            made_by["sha256"],
            (one.prefix.parent / TOKENIZER).read_text(encoding="utf-8"),
        )
        if asked is None:
            asked = own
        elif own.sha256 != asked.sha256:
            other = f"tokenizer {made_by['kind']} ({own.sha256[:12]})"
            given = config.kind if config.kind != "prepared" else sets[0].place
            expected = f"was made by {other}, not by that of {given} ({asked.sha256[:12]})"
            _refuse(key, one.place, expected)
    assert asked is not None
    return asked


def _parts(
    sets: Sequence[TokenSet], split: str, weights: Sequence[float], sentences: bool, key: str
) -> dict[str, list[Part]]:
    """Of each split the parts of its sets; without weights each weighs as its training tokens."""
    bounds = []
    for one in sets:
        units = one.dataset.documents if sentences else len(one.dataset)
        bounds.append(split_bounds(split, units))
        for name, first, last in zip(SPLITS, bounds[-1], bounds[-1][1:], strict=False):
            if first == last:
                expected = f"leaves none of the {units} documents of {one.place} for {name}"
                _refuse("data.split", split, f"{expected}; e.g. 90/10/0")

    def parts(at: int, given: Sequence[float]) -> list[Part]:
        return [
            Part(one.dataset, bound[at], bound[at + 1], weight / sum(given), sentences)
            for one, bound, weight in zip(sets, bounds, given, strict=True)
        ]

    for at, name in enumerate(SPLITS):
        for one, part in zip(sets, parts(at, [1.0] * len(sets)), strict=True):
            if not part.tokens:
                expected = f"its {name} documents have no tokens; leave it out or change data.split"
                _refuse(key, one.place, expected)
    given = weights or [part.tokens for part in parts(0, [1.0] * len(sets))]
    return {name: parts(at, given) for at, name in enumerate(SPLITS)}


def _described(one: TokenSet, part: Part) -> dict[str, Any]:
    """A part as plain JSON."""
    return {
        "prefix": str(one.prefix),
        "first": part.first,
        "last": part.last,
        "weight": part.weight,
        "entry": asdict(one.entry),
    }


def _write(cache: Path, content: dict[str, Any], tokenizer: str) -> Path:
    """The folder of this content, made by rename unless it is there."""
    folder = cache / json_sha256(content)[:16]
    if (folder / SELECTION).is_file():
        return folder
    try:
        with LateProgress(False) as bar, locked(folder, bar):
            # Another process may have just made the same one.
            if not (folder / SELECTION).is_file():
                with replacing(folder) as building:
                    write_text(building / TOKENIZER, tokenizer)
                    write_json(building / SELECTION, content)
    except OSError as error:
        _refuse("data.cache_dir", str(cache), f"cannot be written: {error.strerror or error}")
    return folder


def _refuse(key: str, value: str, expected: str) -> NoReturn:
    raise DataError([Problem(key, value, expected)])
