"""The samples of a run: of every part of a split, blended, kept on disk, and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from hydratron.data.corpus import Corpus, Part
from hydratron.data.manifest import TOKENIZER, TRAIN, VALIDATION
from hydratron.data.samples.bert import BertSamples
from hydratron.data.samples.bert_tokens import bert_tokens
from hydratron.data.samples.blend import BlendedSamples, blend_order, samples_per_dataset
from hydratron.data.samples.cache import cached, fingerprint
from hydratron.data.samples.gpt import GPTSamples, SampleIndex, build_sample_index
from hydratron.data.samples.mapping import Mapping, build_mapping
from hydratron.errors import DataError, Problem

INDEX = "index"
# One order for every run, so that its first n samples are the same whatever seed trains.
VALIDATION_SEED = 1234


class Samples(Protocol):
    """What a run reads, sample by sample."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Any: ...


Reader = Callable[[Corpus, Part, int, Any, int], Samples]
"""(corpus, part, seq_length, n, seed) -> the n samples of a part, as a task reads them; labelled
ones take None for all of them, once."""


def split_samples(
    read: Reader, corpus: Corpus, split: str, seq_length: int, n: int | None, seed: int
) -> Samples:
    """The n samples of `train` or `validation` in the order of a seed, blended if it has parts.

    The order is built by the first process that asks and then read from `corpus.path`.
    """
    parts = corpus.splits[split]
    if len(parts) == 1:
        return read(corpus, parts[0], seq_length, n, seed)
    assert n is not None  # Labelled examples are no blend.
    weights = [part.weight for part in parts]
    sets = [
        read(corpus, part, seq_length, count, seed)
        for part, count in zip(parts, samples_per_dataset(weights, n), strict=True)
    ]
    order = cached(
        corpus.path / INDEX,
        {"order": "blend", "weights": weights, "samples": n},
        lambda: dict(zip(("dataset", "sample"), blend_order(weights, n), strict=True)),
    )
    return BlendedSamples(sets, order["dataset"], order["sample"])


def gpt_samples(corpus: Corpus, part: Part, seq_length: int, n: int, seed: int) -> GPTSamples:
    """Windows of seq_length + 1 tokens over shuffled documents."""
    sizes = part.dataset.sizes[part.sequences]
    arrays = cached(
        corpus.path / INDEX,
        {"order": "gpt", **_asked(part, seq_length, n, seed)},
        lambda: build_sample_index(sizes, seq_length, n, seed)._asdict(),
    )
    first = part.sequences.start
    return GPTSamples(part.dataset, first, SampleIndex(**arrays), n, corpus.vocab_size)


def bert_samples(
    corpus: Corpus,
    part: Part,
    seq_length: int,
    n: int,
    seed: int,
    masking_prob: float = 0.15,
    max_ngram: int = 3,
) -> BertSamples:
    """Pairs of segments with a share of their words masked, over shuffled documents."""
    asked = _asked(part, seq_length, n, seed)
    arrays = cached(
        corpus.path / INDEX,
        {"order": "bert", **asked, "documents": fingerprint(part.documents)},
        lambda: {"mapping": sentence_mapping(part, seq_length, seed, n)},
    )
    special = bert_tokens(corpus.path / TOKENIZER)
    return BertSamples(
        part.dataset, arrays["mapping"], seq_length, special, seed, n, masking_prob, max_ngram
    )


def _asked(part: Part, seq_length: int, n: int, seed: int) -> dict[str, Any]:
    sizes = fingerprint(part.dataset.sizes[part.sequences])
    return {"seq_length": seq_length, "samples": n, "seed": seed, "sizes": sizes}


def sentence_mapping(part: Part, seq_length: int, seed: int, n: int | None = None) -> Mapping:
    """The pairs of `n` samples of a part, or of one epoch; DataError when there are none."""
    epochs = 1 if n is None else None
    try:
        return build_mapping(
            part.dataset.sizes,
            part.documents,
            seq_length=seq_length,
            seed=seed,
            max_samples=n,
            epochs=epochs,
        )
    except ValueError as error:
        raise DataError([Problem("sentences", part.dataset.prefix, str(error))]) from error


def training_samples(
    read: Reader, corpus: Corpus, seq_length: int, ends: Sequence[int], seed: int
) -> Samples:
    """All samples that a run of this seed reads, over as many epochs as it takes.

    By Megatron-LM's rule the order depends on how many samples there are.  A run that is made
    longer keeps the order it has: `ends` are the numbers of samples at which it was to end, the
    first as it was started, and each further one begins an order of its own.
    """
    starts = [0, *ends[:-1]]
    orders = [
        split_samples(read, corpus, TRAIN, seq_length, end - start, continuation_seed(seed, run))
        for run, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    return orders[0] if len(orders) == 1 else Continued(orders)


def validation_samples(read: Reader, corpus: Corpus, seq_length: int, n: int | None) -> Samples:
    """The first n samples of the validation split's one fixed order, or all."""
    return split_samples(read, corpus, VALIDATION, seq_length, n, VALIDATION_SEED)


def continued(ends: Sequence[int], total: int) -> list[int]:
    """The `ends` of a run that goes on to `total` samples: a shorter one keeps its order."""
    return [*ends, total] if total > ends[-1] else [*ends]


class Continued:
    """Several orders, one after the other."""

    def __init__(self, orders: Sequence[Samples]) -> None:
        self.orders = orders
        self.ends = list(accumulate(map(len, orders)))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, i: int) -> Any:
        at = int(np.searchsorted(self.ends, i, side="right"))
        if not 0 <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)}")
        return self.orders[at][i - self.ends[at] + len(self.orders[at])]


def continuation_seed(seed: int, run: int) -> int:
    """The seed of the order that a run's continuation number `run` begins; the run's own is 0."""
    return seed if run == 0 else int(np.random.SeedSequence([seed, run]).generate_state(1)[0])
