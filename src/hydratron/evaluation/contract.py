"""What an evaluation is to the rest: material that is scored, and metrics of the scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from hydratron.data.tokenizer import Tokenizer
from hydratron.evaluation.windows import Windows

# exp() of more is not a float.
LARGEST_EXPONENT = 700.0


class Scores(NamedTuple):
    """Of each window: the summed -ln p of its scored targets, fp64 [w]; whether all of them, and
    whether the last, are the likeliest token, bool [w]."""

    losses: npt.NDArray[np.float64]
    all_right: npt.NDArray[np.bool_]
    last_right: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Request:
    """What the user asked, completed by the checkpoint: `context` and `stride` in tokens."""

    context: int
    stride: int
    data: Path
    key: str = "text"
    megatron_words: bool = False


@dataclass(frozen=True)
class Material:
    """The windows of one task's file under one tokenizer.

    `file` is its name; `protocol` is all that decides what is scored, apart from file and
    tokenizer; `counts` holds
    `original_tokens`, `tokens` (scored and given) and what else is counted; `known` is what the
    file is known as, empty for one that is not the task's whole file.
    """

    windows: Windows
    file: str
    sha256: str
    protocol: Mapping[str, Any]
    counts: Mapping[str, int]
    known: str = ""
    notes: list[str] = field(default_factory=list)


class EvaluationTask(Protocol):
    """One task: how its file becomes windows, and what the scores of these say.

    `stride` is the usual one for a context.  `read` raises DataError for a file that is not the
    task's.
    """

    def stride(self, context: int) -> int: ...

    def read(self, request: Request, tokenizer: Tokenizer) -> Material: ...

    def metrics(self, material: Material, scores: Scores) -> dict[str, float]: ...


def exp(value: float) -> float:
    """e^value, as far as a float goes."""
    return math.exp(min(value, LARGEST_EXPONENT))
