"""Labelled examples to tokens: built once per files and tokenizer, and found again by content."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hydratron.config.schema import Config
from hydratron.data.indexed import IndexedDataset, IndexedDatasetWriter, hashes, token_dtype
from hydratron.data.kept import kept
from hydratron.data.labelled.example import Example, Format
from hydratron.data.labelled.place import key_of, located
from hydratron.data.labelled.squad import found
from hydratron.data.labelled.store import EXAMPLES, LABELS, OFFSETS, beside, write_array
from hydratron.data.manifest import (
    SENTENCE,
    SPLITS,
    TOKENIZER,
    TRAIN,
    DatasetEntry,
    Manifest,
    write_manifest,
)
from hydratron.data.preparer.tokenize import OPENERS, TRAINERS, tokenizer_identity
from hydratron.data.progress import LateProgress
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import DataError, Problem
from hydratron.hashing import file_sha256

VERSION = 2
AT_ONCE = 1000  # examples
NO_SPAN = (-1, -1)


def prepare_labelled(config: Config, form: Format, *, progress: bool) -> Path:
    """The absolute path of a fine-tuning's tokens in `data.cache_dir`; see `data.prepare`."""
    data, tokenizer = config.data, config.tokenizer
    files = located(data, form)
    opener = OPENERS.get(tokenizer.kind)
    opened = opener(tokenizer.path, tokenizer.eod) if opener else None
    identity: dict[str, Any] = {
        "labelled": VERSION,
        "task": form.name,
        "files": {
            part: [[f"{file.parent.name}/{file.name}", file_sha256(file)] for file in files[part]]
            for part in SPLITS
        },
        "tokenizer": tokenizer_identity(
            tokenizer.kind, tokenizer.vocab_size, opened, tokenizer.eod
        ),
    }

    def build(building: Path, bar: LateProgress) -> None:
        _build(config, form, files, opened, identity, building, bar)

    return kept(data.cache_dir, identity, build, progress=progress)


def _build(
    config: Config,
    form: Format,
    files: dict[str, list[Path]],
    opened: Tokenizer | None,
    identity: dict[str, Any],
    folder: Path,
    bar: LateProgress,
) -> None:
    """Fill the folder; the same input gives the same bytes."""
    skipped: dict[str, Counter[str]] = {part: Counter() for part in SPLITS}

    def read(part: str, say: str) -> Iterator[Example]:
        bar.start(say, sum(file.stat().st_size for file in files[part]))
        for file in files[part]:
            yield from form.read(file, skipped[part])
            bar.advance(file.stat().st_size)

    tokenizer = opened
    if tokenizer is None:
        texts = (text for one in read(TRAIN, "training the tokenizer") for text in one.texts)
        tokenizer = TRAINERS[config.tokenizer.kind](texts, config.tokenizer.vocab_size)
        skipped[TRAIN].clear()
    tokenizer.save(folder / TOKENIZER)
    entries = {}
    for part in SPLITS:
        examples = read(part, f"encoding {part}")
        _write(folder / part, form, examples, tokenizer, part == TRAIN, skipped[part])
        dataset = IndexedDataset(folder / part)
        if not dataset.documents:
            key = "data.path" if part == TRAIN else key_of(config.data)
            raise DataError([Problem(key, files[part][0], _nothing(part, skipped[part]))])
        labels = {LABELS: file_sha256(beside(folder / part, LABELS))}
        entries[part] = DatasetEntry.of(dataset, hashes(folder / part) | labels)
    manifest = Manifest(
        level=SENTENCE,
        tokenizer={**identity["tokenizer"], "sha256": tokenizer.sha256},
        vocab_size=tokenizer.vocab_size,
        eod=tokenizer.eod,
        dtype=token_dtype(tokenizer.vocab_size).name,
        datasets=entries,
        origin={**identity, "skipped": {part: dict(skipped[part]) for part in SPLITS}},
        versions={name: metadata.version(name) for name in ("numpy", "tokenizers")},
    )
    write_manifest(folder, manifest)


def _nothing(part: str, skipped: Counter[str]) -> str:
    """Also why, where there were some."""
    return ", ".join(
        [f"has no example for {part}", *(f"{n:,} {why} skipped" for why, n in skipped.items())]
    )


def _write(
    prefix: Path,
    form: Format,
    examples: Iterator[Example],
    tokenizer: Tokenizer,
    training: bool,
    skipped: Counter[str],
) -> None:
    labels: list[tuple[int, int, int]] = []
    offsets: list[Any] = []
    with ExitStack() as stack:
        writer = stack.enter_context(
            IndexedDatasetWriter(prefix, token_dtype(tokenizer.vocab_size))
        )
        told = stack.enter_context(beside(prefix, EXAMPLES).open("x", encoding="utf-8"))
        while some := list(islice(examples, AT_ONCE)):
            encode = tokenizer.encode_with_offsets if form.spans else _without_offsets(tokenizer)
            # A passage has many questions.
            unique = list(dict.fromkeys(text for example in some for text in example.texts))
            encoded = dict(zip(unique, encode(unique), strict=True))
            for example in some:
                texts = [encoded[text] for text in example.texts]
                if not all(ids for ids, _ in texts):
                    skipped["texts without a token"] += 1
                    continue
                first, last = example.label, 0
                if form.spans:
                    first, last = NO_SPAN
                    if example.answers:
                        first, last = span_of(example, texts[-1][1])
                    if training and example.answers and (first, last) == NO_SPAN:
                        skipped["answers that are not in their passage"] += 1
                        continue
                    offsets.append(np.array(texts[-1][1], np.int32))
                writer.add_document([ids for ids, _ in texts])
                labels.append((first, last, example.group))
                told.write(json.dumps(_described(example, form.spans)) + "\n")
    write_array(prefix, LABELS, labels, 3)
    if form.spans:
        write_array(prefix, OFFSETS, np.concatenate(offsets) if offsets else [], 2)


def span_of(example: Example, offsets: list[tuple[int, int]]) -> tuple[int, int]:
    """The first and last token of the first answer; NO_SPAN where it is not in the passage."""
    answer = example.answers[0]
    start = found(example.texts[-1], answer)
    if start is None:
        return NO_SPAN
    end = start + len(answer.text.strip())
    inside = [i for i, (a, b) in enumerate(offsets) if a < end and b > start]
    return (inside[0], inside[-1]) if inside else NO_SPAN


def _without_offsets(tokenizer: Tokenizer) -> Callable[[list[str]], list[tuple[Any, Any]]]:
    return lambda texts: [(ids, None) for ids in tokenizer.encode_batch(texts)]


def _described(example: Example, spans: bool) -> dict[str, Any]:
    if not spans:
        return {"id": example.id}
    answers = [answer.text for answer in example.answers]
    return {"id": example.id, "passage": example.texts[-1], "answers": answers}
