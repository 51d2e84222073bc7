"""How many examples a fine-tuning has, and what became of those that are cut or left out."""

from __future__ import annotations

from typing import Any

from hydratron.config.schema import Config
from hydratron.data.corpus import Corpus
from hydratron.data.labelled.store import Labelled
from hydratron.data.manifest import SPLITS, TRAIN, read_manifest


def training_size(corpus: Corpus, config: Config) -> int:
    """Samples of one epoch."""
    part = corpus.splits[TRAIN][0]
    read = config.learning.samples
    return len(read(corpus, part, config.model.seq_length, None, config.seed))


def counts(corpus: Corpus, config: Config) -> dict[str, dict[str, Any]]:
    """Of each part: examples, samples of an epoch, samples that are cut, and what was skipped."""
    skipped = read_manifest(corpus.path).origin["skipped"]
    found = {}
    for name in SPLITS:
        part = corpus.splits[name][0]
        length = config.model.seq_length
        samples = config.learning.samples(corpus, part, length, None, config.seed)
        found[name] = {
            "examples": len(Labelled(part)),
            "samples": len(samples),
            "cut": samples.cut(),
            "skipped": skipped[name],
        }
    return found


def line(found: dict[str, dict[str, Any]], seq_length: int) -> str:
    """For a person."""
    told = []
    for name, part in found.items():
        text = f"{name}: {part['examples']:,} examples"
        if part["samples"] != part["examples"]:
            text += f" in {part['samples']:,} windows"
        if part["cut"]:
            text += f", {part['cut']:,} cut to fit {seq_length} tokens"
        for reason, count in part["skipped"].items():
            text += f", {count:,} {reason} skipped"
        told.append(text)
    return "; ".join(told)
