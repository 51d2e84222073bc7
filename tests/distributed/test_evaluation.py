"""Scores equal an independent computation, at every degree and batch size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hydratron.evaluation.checkpoints import evaluation_config, opened
from hydratron.evaluation.contract import Material, Request
from hydratron.evaluation.exchange import Asked, read_scores, write_asked
from hydratron.evaluation.table import TASKS
from hydratron.job import JobFolder
from tests.helpers.ranks import run_ranks
from tests.helpers.scored import (
    CONTEXT,
    checkpointed,
    in_transformers,
    small_gpt,
    write_task_files,
)

# tp, dp, windows of a batch.
WAYS = ((1, 1, 1), (1, 1, 5), (2, 1, 3), (4, 1, 64), (2, 2, 2))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpointed(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="module")
def materials(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Material]:
    files = write_task_files(tmp_path_factory.mktemp("files"))
    tokenizer = opened(checkpoint).tokenizer
    strides = {"wikitext103": 5, "lambada": CONTEXT, "perplexity": 7}
    return {
        task: TASKS[task].read(Request(CONTEXT, stride, file), tokenizer)
        for (task, stride), file in zip(strides.items(), files, strict=True)
    }


def score_rank(rank: int, world_size: int, folder: Path, tp: int, dp: int) -> dict[str, Any]:
    from hydratron.evaluation.score import score

    degrees = {"tensor_model_parallel_size": tp, "data_parallel_size": dp}
    return score(evaluation_config(small_gpt(), degrees, 1), JobFolder(folder), None)


def scored(folder: Path, checkpoint: Path, material: Material, tp: int, dp: int, batch: int) -> Any:
    job = JobFolder(folder)
    vocab_size = opened(checkpoint).tokenizer.vocab_size
    write_asked(job, Asked(checkpoint, material.windows, vocab_size, batch))
    run_ranks(score_rank, tp * dp, folder, tp, dp)
    return read_scores(job)


def by_transformers(checkpoint: Path, material: Material) -> list[tuple[float, bool, bool]]:
    """A window at a time, all logits: summed loss, all right, last right."""
    model, windows, found = in_transformers(checkpoint, small_gpt()), material.windows, []
    for start, length, count in zip(windows.starts, windows.lengths, windows.scored, strict=True):
        ids = torch.from_numpy(windows.tokens[start : start + length + 1].astype(np.int64))
        with torch.inference_mode():
            scores = model(ids[None, :-1]).logits[0].double().log_softmax(-1)
        last, targets = scores[-count:], ids[-count:]
        right = last.argmax(-1) == targets
        loss = -last.gather(-1, targets[:, None]).sum().item()
        found.append((loss, bool(right.all()), bool(right[-1])))
    return found


@pytest.mark.parametrize("task", ["wikitext103", "lambada", "perplexity"])
def test_scores_are_those_of_transformers(
    checkpoint: Path, materials: dict[str, Material], task: str, tmp_path: Path
) -> None:
    material = materials[task]
    assert len(material.windows) > 2
    losses, all_right, last_right = zip(*by_transformers(checkpoint, material), strict=True)
    ways = WAYS if task == "wikitext103" else WAYS[1:3]
    for number, (tp, dp, batch) in enumerate(ways):
        found = scored(tmp_path / str(number), checkpoint, material, tp, dp, batch)
        np.testing.assert_allclose(found.losses, losses, rtol=1e-5)
        assert found.all_right.tolist() == list(all_right)
        assert found.last_right.tolist() == list(last_right)
        metrics = TASKS[task].metrics(material, found)
        if task == "wikitext103":
            expected = math.exp(sum(losses) / material.counts["original_tokens"])
            assert metrics["perplexity"] == pytest.approx(expected, rel=1e-4)
