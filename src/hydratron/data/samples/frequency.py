"""What guessing by frequency alone costs: the plateau of a run that fails to train."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.corpus import Corpus
from hydratron.data.manifest import TRAIN
from hydratron.data.samples.assemble import Samples

# Enough to tell the frequency of every token that matters, at no noticeable cost.
COUNTED = 1_000_000


def frequency_loss(corpus: Corpus, samples: Samples) -> float:
    """Cross-entropy of what `samples` predict, by the frequencies of tokens in the training split.

    Nats per predicted token.  The frequencies are those of about a million tokens, in sequences
    spread evenly over each part, with one added for each entry of the vocabulary.  Not a number
    when nothing is predicted.
    """
    counts = np.ones(corpus.vocab_size)
    for part in corpus.splits[TRAIN]:
        every = math.ceil(part.tokens / COUNTED)
        sequences = range(part.sequences.start, part.sequences.stop, every)
        tokens = np.concatenate([part.dataset.get(sequence) for sequence in sequences])
        counts += part.weight * np.bincount(tokens, minlength=corpus.vocab_size)
    targets = np.concatenate([_targets(samples[i]) for i in range(len(samples))])
    losses = -np.log(counts / counts.sum())[targets]
    return float(losses.mean()) if len(losses) else float("nan")


def _targets(sample: Any) -> npt.NDArray[np.int64]:
    """What the model has to tell: the next tokens (GPT), or the masked ones (BERT)."""
    if isinstance(sample, dict):
        labels: npt.NDArray[np.int64] = sample["labels"]
        return labels[labels >= 0]
    return np.asarray(sample[1:], dtype=np.int64)
