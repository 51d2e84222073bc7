"""What a job asks of its data, checked before any rank starts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hydratron.config.schema import Config
from hydratron.data.corpus import Corpus, Part
from hydratron.data.manifest import SPLITS, VALIDATION
from hydratron.data.samples.assemble import (
    VALIDATION_SEED,
    sentence_mapping,
    validation_samples,
)
from hydratron.data.samples.blend import samples_per_dataset
from hydratron.data.samples.gpt import samples_per_epoch
from hydratron.errors import Problem


def problems(corpus: Corpus, config: Config) -> list[Problem]:
    """What the data do not have for this job; empty when all is well."""
    if corpus.sentences != config.sentences:
        level, other = ("sentences", "BERT") if corpus.sentences else ("whole documents", "GPT")
        expected = f"holds {level}, for {other}; model.architecture={config.model.architecture}"
        return [Problem("data.prepared", corpus.path, expected)]
    if config.learning.examples:
        return _labelled_problems(corpus, config)
    return (_bert_problems if config.sentences else _gpt_problems)(corpus, config)


def _labelled_problems(corpus: Corpus, config: Config) -> list[Problem]:
    length, wanted = config.model.seq_length, config.trainer.val_samples
    available = len(validation_samples(config.learning.samples, corpus, length, None))
    dp = config.parallel.data_parallel_size
    if available < dp:
        expected = f"at most {available}, the samples that validate"
        return [Problem("parallel.data_parallel_size", dp, expected)]
    if wanted is not None and wanted > available:
        return [Problem("trainer.val_samples", wanted, f"at most {available}, or null for all")]
    return []


def _gpt_problems(corpus: Corpus, config: Config) -> list[Problem]:
    length = config.model.seq_length
    parts = [(name, part) for name in SPLITS for part in corpus.splits[name]]
    name, shortest = min(parts, key=lambda entry: entry[1].tokens)
    if samples_per_epoch(shortest.tokens, length) == 0:
        place = f"the {name} split of {shortest.dataset.prefix}"
        expected = f"at most {shortest.tokens - 1}; {place} has {shortest.tokens} tokens"
        return [Problem("model.seq_length", length, expected)]
    validation = corpus.splits[VALIDATION]
    available = [samples_per_epoch(part.tokens, length) for part in validation]
    return _too_many_validation_samples(config, validation, available)


def _bert_problems(corpus: Corpus, config: Config) -> list[Problem]:
    """Of the validation split alone: the training samples say themselves when there are none."""
    length, validation = config.model.seq_length, corpus.splits[VALIDATION]
    available = [len(sentence_mapping(part, length, VALIDATION_SEED)) for part in validation]
    return _too_many_validation_samples(config, validation, available)


def _too_many_validation_samples(
    config: Config, parts: Sequence[Part], available: Sequence[int]
) -> list[Problem]:
    wanted, length = config.trainer.val_samples or 0, config.model.seq_length
    most = most_samples(parts, available)
    if wanted <= most:
        return []
    tokens = sum(part.tokens for part in parts)
    expected = f"at most {most}; the validation split has {tokens} tokens, seq_length is {length}"
    return [Problem("trainer.val_samples", wanted, expected)]


def most_samples(parts: Sequence[Part], available: Sequence[int]) -> int:
    """How many samples a split gives before one of its parts would repeat itself.

    `available` is how many each part has.
    """
    if len(parts) == 1:
        return available[0]
    weights = [part.weight for part in parts]
    most = math.ceil(min(n / weight for n, weight in zip(available, weights, strict=True)))
    while most and any(
        asked > n for asked, n in zip(samples_per_dataset(weights, most), available, strict=True)
    ):
        most -= 1
    return most
