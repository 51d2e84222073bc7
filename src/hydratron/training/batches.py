"""The token samples of the data room as torch batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class Samples(Protocol):
    """Sample i is an int64 array of seq_length + 1 tokens."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


class Batches(Protocol):
    """Lists of sample indices, one list per micro-batch."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[list[int]]: ...


class TokenBatches(Dataset[Tensor]):
    """One item is one micro-batch, int64 [b, s + 1]."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, indices: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.stack([self.samples[i] for i in indices]))


def loader(samples: Samples, batches: Batches) -> DataLoader[Tensor]:
    """A loader whose sampler yields whole micro-batches, in the order of `batches`.

    It has a generator of its own: a loader draws a seed when it starts, and from the default one
    that would shift the dropout of a resumed run.
    """
    return DataLoader(
        TokenBatches(samples), sampler=batches, batch_size=None, generator=torch.Generator()
    )
