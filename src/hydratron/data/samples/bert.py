"""BERT samples as in Megatron-LM: two parts of one document, in or out of order, partly masked.

Sample i draws from numpy's generator seeded with seed + i, so it is the same in any order and in
any process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.indexed import IndexedDataset
from hydratron.data.samples.bert_tokens import BertTokens
from hydratron.data.samples.gpt import check_tokens
from hydratron.data.samples.mapping import Mapping
from hydratron.data.samples.masking import IGNORED, mask_tokens

Sample = dict[str, Any]
Range = tuple[int, int]
SEEDS = 1 << 32


class BertSamples:
    """`samples[i]` for i below `length`, from row i of `mapping` (see `build_mapping`).

    A sample is a dict of int64 arrays of `seq_length`: `tokens` as the model reads them, `types`
    (0 up to the first [SEP], then 1), `labels` (the right token where it is predicted, else -1) and
    `padding_mask` (1 for a token, 0 for padding), with the scalar `sop`: 1 when the second part of
    the document comes first.  `dataset` has one sequence per sentence.  A sample with a target
    length below 7 has nothing to predict, by Megatron-LM's budget.  One thread at a time.
    """

    def __init__(
        self,
        dataset: IndexedDataset,
        mapping: Mapping,
        seq_length: int,
        tokens: BertTokens,
        seed: int,
        length: int,
        masking_prob: float = 0.15,
        max_ngram: int = 3,
    ) -> None:
        if length > len(mapping):
            raise ValueError(f"{length} samples of a mapping of {len(mapping)}")
        self.dataset = dataset
        self.mapping = mapping
        self.seq_length = seq_length
        self.special = tokens
        self.seed = seed
        self.length = length
        self.masking_prob = masking_prob
        self.max_ngram = max_ngram
        # Seeded anew for each sample, which is 100 times faster than a new generator.
        self._generator = np.random.RandomState(seed % SEEDS)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(self.length))

    def __getitem__(self, i: int) -> Sample:
        if not 0 <= i < self.length:
            raise IndexError(f"sample {i} of {self.length}")
        first, last, target = self.mapping[i].tolist()
        generator = self._generator
        generator.seed((self.seed + i) % SEEDS)
        sentences = [self.dataset.get(sentence) for sentence in range(first, last)]
        text = np.concatenate(sentences).astype(np.int64)
        if text.size and not 0 <= text.min() <= text.max() < self.special.vocab_size:
            for sentence, ids in enumerate(sentences, start=first):
                check_tokens(self.dataset, sentence, 0, ids, self.special.vocab_size)

        # The draws come in this order: the cut, the order of the parts, truncation, masking.
        cut = 1 if len(sentences) < 3 else generator.randint(1, len(sentences))
        middle = sum(len(sentence) for sentence in sentences[:cut])
        a, b = (0, middle), (middle, text.size)
        if swapped := generator.random_sample() < 0.5:
            a, b = b, a
        a, b = truncate(a, b, target, generator)
        ids, boundary = _joined(text[slice(*a)], text[slice(*b)], self.special)

        budget = masking_budget(len(ids), target, self.masking_prob)
        read, labels = mask_tokens(ids, self.special, budget, self.max_ngram, generator)
        places = np.arange(self.seq_length)
        inside = places < len(ids)
        return {
            "tokens": _padded(read, self.seq_length, self.special.pad),
            "types": ((places >= boundary) & inside).astype(np.int64),
            "labels": _padded(labels, self.seq_length, IGNORED),
            "padding_mask": inside.astype(np.int64),
            "sop": np.int64(swapped),
        }


def truncate(
    a: Range, b: Range, target: int, generator: np.random.RandomState
) -> tuple[Range, Range]:
    """Both ranges cut to `target` tokens together.

    One token at a time goes from the longer range (from b when they are equal), from its front or
    its back with equal chances.
    """
    (a_start, a_end), (b_start, b_end) = a, b
    excess = max(a_end - a_start + b_end - b_start - target, 0)
    for front in (generator.random_sample(excess) < 0.5).tolist():
        if a_end - a_start > b_end - b_start:
            a_start, a_end = (a_start + 1, a_end) if front else (a_start, a_end - 1)
        else:
            b_start, b_end = (b_start + 1, b_end) if front else (b_start, b_end - 1)
    return (a_start, a_end), (b_start, b_end)


def masking_budget(length: int, target: int, masking_prob: float) -> int:
    """The most pieces that are predicted of `length` tokens, special ones included.

    At least one by the length, but never more than the share of the target length.
    """
    return int(min(masking_prob * target, max(1, round(masking_prob * length))))


def _joined(
    a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], special: BertTokens
) -> tuple[npt.NDArray[np.int64], int]:
    """[CLS] a [SEP] b [SEP], and where b starts."""
    ids = np.empty(len(a) + len(b) + 3, np.int64)
    boundary = len(a) + 2
    ids[0], ids[boundary - 1], ids[-1] = special.cls, special.sep, special.sep
    ids[1 : boundary - 1] = a
    ids[boundary:-1] = b
    return ids, boundary


def _padded(values: npt.NDArray[np.int64], length: int, fill: int) -> npt.NDArray[np.int64]:
    padded = np.full(length, fill, np.int64)
    padded[: len(values)] = values
    return padded
