"""What a prepared folder has of labelled examples beside their tokens.

`NAME.labels` is int32 [examples, 3]: the class or option, or the first and last token of the span
in the last text (-1: none), and the group; `NAME.examples` has a JSON line for each, and for spans
`NAME.offsets`, int32 [tokens, 2], the characters of each token of the last texts, one text after
the other.  NAME is that of the token file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.corpus import Part

LABELS, EXAMPLES, OFFSETS = "labels", "examples", "offsets"
FIRST, LAST, GROUP = 0, 1, 2
Ints = npt.NDArray[np.int32]


def beside(prefix: Path, name: str) -> Path:
    return prefix.with_name(f"{prefix.name}.{name}")


def write_array(prefix: Path, name: str, values: Sequence[Any] | Ints, width: int) -> None:
    """As .npy, under the name of this format."""
    with beside(prefix, name).open("xb") as file:
        np.save(file, np.asarray(values, np.int32).reshape(-1, width), allow_pickle=False)


def read_array(prefix: Path, name: str) -> Ints:
    with beside(prefix, name).open("rb") as file:
        found: Ints = np.load(file, allow_pickle=False)
    return found


@dataclass(frozen=True, eq=False)
class Labelled:
    """The examples of one part of a corpus, each a document whose sequences are its texts."""

    part: Part

    def __len__(self) -> int:
        return self.part.dataset.documents

    @cached_property
    def labels(self) -> Ints:
        return read_array(self.part.dataset.prefix, LABELS)

    @cached_property
    def sizes(self) -> Ints:
        """Tokens of each text, [examples, texts]."""
        sizes: Ints = self.part.dataset.sizes.reshape(len(self), -1)
        return sizes

    def text(self, example: int, number: int) -> npt.NDArray[np.int64]:
        """The tokens of one text of an example."""
        texts = self.sizes.shape[1]
        return self.part.dataset.get(example * texts + number % texts).astype(np.int64)

    @cached_property
    def described(self) -> list[dict[str, Any]]:
        """`id`, and for spans the passage and the answers, of each."""
        file = beside(self.part.dataset.prefix, EXAMPLES)
        with file.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    @cached_property
    def _offsets(self) -> tuple[Ints, npt.NDArray[np.int64]]:
        starts = np.concatenate([[0], np.cumsum(self.sizes[:, -1], dtype=np.int64)])
        return read_array(self.part.dataset.prefix, OFFSETS), starts

    def offsets(self, example: int) -> Ints:
        """First and past-the-last character of each token of an example's last text."""
        values, starts = self._offsets
        return values[starts[example] : starts[example + 1]]
