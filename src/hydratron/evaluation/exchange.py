"""What the launcher of an evaluation and its ranks tell each other, as files of a job folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hydratron.evaluation.contract import Scores
from hydratron.evaluation.windows import Windows
from hydratron.job import JobFolder, read_json, write_json

ASKED, WINDOWS, SCORES = "asked.json", "windows.npz", "scores.npy"


@dataclass(frozen=True)
class Asked:
    """Score these windows with this checkpoint, `batch` at a time; `vocab_size` is unpadded."""

    checkpoint: Path
    windows: Windows
    vocab_size: int
    batch: int


def write_asked(folder: JobFolder, asked: Asked) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    windows = asked.windows
    np.savez(
        folder.path / WINDOWS,
        tokens=windows.tokens, starts=windows.starts, lengths=windows.lengths,
        scored=windows.scored,
    )  # fmt: skip
    content = {
        "checkpoint": str(asked.checkpoint.resolve()),
        "vocab_size": asked.vocab_size,
        "batch": asked.batch,
    }
    write_json(folder.path / ASKED, content)


def read_asked(folder: JobFolder) -> Asked:
    content: dict[str, Any] = read_json(folder.path / ASKED) or {}
    with np.load(folder.path / WINDOWS) as saved:
        windows = Windows(*(saved[name] for name in ("tokens", "starts", "lengths", "scored")))
    return Asked(
        Path(content["checkpoint"]), windows, int(content["vocab_size"]), int(content["batch"])
    )


def write_scores(folder: JobFolder, scores: np.ndarray) -> None:
    """[w, 3] as of `score.window_scores`."""
    np.save(folder.path / SCORES, scores)


def read_scores(folder: JobFolder) -> Scores:
    return scores_of(np.load(folder.path / SCORES))


def scores_of(columns: np.ndarray) -> Scores:
    """From [w, 3]."""
    losses, all_right, last_right = columns.T
    return Scores(losses, all_right > 0, last_right > 0)
