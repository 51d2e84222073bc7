"""What guessing by frequency alone costs: the plateau of a run that fails to train."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.corpus import Corpus
from hydratron.data.manifest import TRAIN
from hydratron.data.samples.assemble import Samples

# Enough to tell the frequency of every token that matters, at no noticeable cost.
COUNTED = 1_000_000


def frequency_loss(
    corpus: Corpus, samples: Samples, predicted: Callable[[Any], npt.NDArray[np.int64]]
) -> float:
    """Cross-entropy of what `samples` predict, by the frequencies of tokens in the training split.

    Nats per token that is `predicted` of a sample.  The frequencies are those of about a million
    tokens, in sequences spread evenly over each part, with one added for each entry of the
    vocabulary.  Not a number when nothing is predicted.
    """
    counts = np.ones(corpus.vocab_size)
    for part in corpus.splits[TRAIN]:
        every = math.ceil(part.tokens / COUNTED)
        sequences = range(part.sequences.start, part.sequences.stop, every)
        tokens = np.concatenate([part.dataset.get(sequence) for sequence in sequences])
        counts += part.weight * np.bincount(tokens, minlength=corpus.vocab_size)
    targets = np.concatenate([predicted(samples[i]) for i in range(len(samples))])
    losses = -np.log(counts / counts.sum())[targets]
    return float(losses.mean()) if len(losses) else float("nan")
