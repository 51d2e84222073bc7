"""What a job asks of its data, checked before any rank starts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hydratron.config.schema import Config
from hydratron.data.corpus import Corpus, Part
from hydratron.data.manifest import SPLITS, VALIDATION
from hydratron.data.samples.blend import samples_per_dataset
from hydratron.data.samples.gpt import samples_per_epoch
from hydratron.errors import Problem


def problems(corpus: Corpus, config: Config) -> list[Problem]:
    """What the data do not have for this job; empty when all is well."""
    if corpus.sentences:
        expected = f"holds sentences, for BERT; model.architecture={config.model.architecture}"
        return [Problem("data.prepared", corpus.path, expected)]
    length = config.model.seq_length
    parts = [(name, part) for name in SPLITS for part in corpus.splits[name]]
    name, shortest = min(parts, key=lambda entry: entry[1].tokens)
    if samples_per_epoch(shortest.tokens, length) == 0:
        place = f"the {name} split of {shortest.dataset.prefix}"
        expected = f"at most {shortest.tokens - 1}; {place} has {shortest.tokens} tokens"
        return [Problem("model.seq_length", length, expected)]
    wanted, most = config.trainer.val_samples, most_samples(corpus.splits[VALIDATION], length)
    if wanted <= most:
        return []
    tokens = sum(part.tokens for part in corpus.splits[VALIDATION])
    expected = f"at most {most}; the validation split has {tokens} tokens, seq_length is {length}"
    return [Problem("trainer.val_samples", wanted, expected)]


def most_samples(parts: Sequence[Part], seq_length: int) -> int:
    """How many samples a split gives before one of its parts would repeat itself."""
    available = [samples_per_epoch(part.tokens, seq_length) for part in parts]
    if len(parts) == 1:
        return available[0]
    weights = [part.weight for part in parts]
    most = math.ceil(min(n / weight for n, weight in zip(available, weights, strict=True)))
    while most and any(
        asked > n for asked, n in zip(samples_per_dataset(weights, most), available, strict=True)
    ):
        most -= 1
    return most
