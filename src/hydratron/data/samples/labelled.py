"""Labelled examples as BERT reads them: one text or two, four options, windows of a passage.

A sample is a dict of int64 arrays: `tokens`, `types` (0 through the first [SEP], then 1, and 0 at
padding), `padding_mask`, what is to be told, and `index`, its place in the order of the files.
Inputs as in Megatron-LM and, for spans, as in BERT's own code (facts, E.1 and E.2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.corpus import Corpus, Part
from hydratron.data.labelled.store import FIRST, GROUP, LAST, Labelled
from hydratron.data.manifest import TOKENIZER, TRAIN
from hydratron.data.samples.bert_tokens import BertTokens, bert_tokens
from hydratron.errors import DataError, Problem

QUESTION_WITH_OPTION = 128  # pieces: RACE
QUESTION, STRIDE = 64, 128  # pieces: SQuAD
INPUTS = ("tokens", "types", "padding_mask")
Sample = dict[str, Any]
Ints = npt.NDArray[np.int64]


class LabelledSamples:
    """`samples[i]` for i below `length`: epoch after epoch, each in an order of its own.

    The order of epoch e is drawn from `seed` + e; without a seed it is that of the files.
    Raises DataError for a `seq_length` below `shortest`.
    """

    shortest = 8

    def __init__(
        self, part: Part, special: BertTokens, seq_length: int, length: int | None, seed: int | None
    ) -> None:
        self.examples, self.special, self.seq_length = Labelled(part), special, seq_length
        if seq_length < self.shortest:
            expected = f"at least {self.shortest}, for the task's inputs"
            raise DataError([Problem("model.seq_length", seq_length, expected)])
        self.once = self.count()
        self.length = self.once if length is None else length
        self.seed, self._drawn = seed, (-1, np.empty(0, np.int64))

    def count(self) -> int:
        """Samples of one epoch."""
        return len(self.examples)

    def cut(self) -> int:
        """How many of an epoch do not fit and lose tokens."""
        raise NotImplementedError

    def sample(self, index: int) -> Sample:
        raise NotImplementedError

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> Sample:
        if not 0 <= i < self.length:
            raise IndexError(f"sample {i} of {self.length}")
        epoch, place = divmod(i, self.once)
        index = place if self.seed is None else int(self._order(epoch, self.seed)[place])
        return self.sample(index) | {"index": np.int64(index)}

    def _order(self, epoch: int, seed: int) -> Ints:
        if self._drawn[0] != epoch:
            generator = np.random.RandomState((seed + epoch) % (1 << 32))
            self._drawn = epoch, generator.permutation(self.once)
        return self._drawn[1]

    def joined(self, a: Ints, b: Ints | None) -> Sample:
        """[CLS] a [SEP] b [SEP]; what is too long loses its tail, the last [SEP] stays."""
        special, length = self.special, self.seq_length
        cls, sep = np.array([special.cls]), np.array([special.sep])
        first = [cls, a] if b is None else [cls, a, sep]
        boundary = sum(len(ids) for ids in first)
        ids = np.concatenate([*first, *([] if b is None else [b])])[: length - 1]
        tokens = np.full(length, special.pad, np.int64)
        tokens[: len(ids)] = ids
        tokens[len(ids)] = special.sep
        types, mask = np.zeros(length, np.int64), np.zeros(length, np.int64)
        if b is not None:
            types[min(boundary, len(ids)) : len(ids) + 1] = 1
        mask[: len(ids) + 1] = 1
        return dict(zip(INPUTS, (tokens, types, mask), strict=True))


class TextSamples(LabelledSamples):
    """One text or two, and their class `label`."""

    def cut(self) -> int:
        sizes = self.examples.sizes
        return int((sizes.sum(axis=1) + sizes.shape[1] + 1 > self.seq_length).sum())

    def sample(self, index: int) -> Sample:
        texts = [self.examples.text(index, n) for n in range(self.examples.sizes.shape[1])]
        label = np.int64(self.examples.labels[index, FIRST])
        return self.joined(texts[0], texts[1] if len(texts) > 1 else None) | {"label": label}


class ChoiceSamples(LabelledSamples):
    """Inputs [options, s] of a question, each with the whole passage, and the right option."""

    def cut(self) -> int:
        sizes = np.minimum(self.examples.sizes[:, :-1], QUESTION_WITH_OPTION)
        longest = sizes.max(axis=1) + self.examples.sizes[:, -1] + 3
        return int((longest > self.seq_length).sum())

    def sample(self, index: int) -> Sample:
        article = self.examples.text(index, -1)
        rows = [
            self.joined(self.examples.text(index, n)[:QUESTION_WITH_OPTION], article)
            for n in range(self.examples.sizes.shape[1] - 1)
        ]
        label = np.int64(self.examples.labels[index, FIRST])
        return {name: np.stack([row[name] for row in rows]) for name in INPUTS} | {"label": label}


class SpanSamples(LabelledSamples):
    """A question and a window of its passage; the places `start` and `end` of the answer in it.

    Both are 0, the place of [CLS], where the window does not hold the whole answer.
    `windows` is int64 [samples, 3]: example, first token and length in the passage.
    """

    shortest = QUESTION + 4

    def count(self) -> int:
        sizes = self.examples.sizes
        rooms = self.seq_length - 3 - np.minimum(sizes[:, 0], QUESTION)
        found: list[tuple[int, int, int]] = []
        pairs = zip(rooms.tolist(), sizes[:, -1].tolist(), strict=True)
        for example, (room, length) in enumerate(pairs):
            start = 0
            while True:
                taken = min(room, length - start)
                found.append((example, start, taken))
                if start + taken == length:
                    break
                start += min(taken, STRIDE)
        self.windows: Ints = np.array(found, np.int64)
        return len(found)

    def cut(self) -> int:
        """Passages that have several windows are not cut; questions are."""
        return int((self.examples.sizes[:, 0] > QUESTION).sum())

    def before(self, example: int) -> int:
        """Tokens before the window: [CLS], the question and [SEP]."""
        return min(int(self.examples.sizes[example, 0]), QUESTION) + 2

    def sample(self, index: int) -> Sample:
        example, first, length = self.windows[index].tolist()
        question = self.examples.text(example, 0)[:QUESTION]
        window = self.examples.text(example, -1)[first : first + length]
        start, end = self.examples.labels[example, [FIRST, LAST]].tolist()
        place = self.before(example) - first
        inside = first <= start <= end < first + length
        places = (start + place, end + place) if inside else (0, 0)
        told = {"start": np.int64(places[0]), "end": np.int64(places[1])}
        return self.joined(question, window) | told


def text_samples(
    corpus: Corpus, part: Part, seq_length: int, n: int | None, seed: int
) -> TextSamples:
    return TextSamples(*_asked(corpus, part, seq_length, n, seed))


def choice_samples(
    corpus: Corpus, part: Part, seq_length: int, n: int | None, seed: int
) -> ChoiceSamples:
    return ChoiceSamples(*_asked(corpus, part, seq_length, n, seed))


def span_samples(
    corpus: Corpus, part: Part, seq_length: int, n: int | None, seed: int
) -> SpanSamples:
    return SpanSamples(*_asked(corpus, part, seq_length, n, seed))


def label_loss(corpus: Corpus, samples: LabelledSamples, predicted: object) -> float:
    """Cross-entropy, in nats, of the frequencies of the training labels: what guessing costs."""
    seen = Labelled(corpus.splits[TRAIN][0]).labels[:, FIRST]
    told = samples.examples.labels[: samples.length, FIRST]
    counts = np.ones(max(seen.max(), told.max()) + 1) + np.bincount(
        seen, minlength=max(seen.max(), told.max()) + 1
    )
    return float(-np.log(counts / counts.sum())[told].mean())


def groups_of(samples: LabelledSamples) -> npt.NDArray[np.int32]:
    """The group of each sample, in the order of the files."""
    return samples.examples.labels[: samples.length, GROUP]


def _asked(corpus: Corpus, part: Part, seq_length: int, n: int | None, seed: int) -> Any:
    special = bert_tokens(corpus.path / TOKENIZER)
    # What validates is scored in the order of its files.
    order = seed if part is corpus.splits[TRAIN][0] else None
    return part, special, seq_length, n, order
