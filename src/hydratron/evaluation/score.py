"""One rank's part of an evaluation: the checkpoint loaded at these degrees, its windows scored."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from hydratron.checkpoint.manifest import Verified
from hydratron.config.schema import Config
from hydratron.evaluation.exchange import Asked, read_asked, write_scores
from hydratron.evaluation.loading import loaded
from hydratron.evaluation.windows import Batch, batches
from hydratron.job import JobFolder
from hydratron.models.chosen import hidden_at
from hydratron.models.language import LanguageModel
from hydratron.parallel.scoring import vocab_parallel_target_scores
from hydratron.training.precision import autocast

# Seconds between rows that tell how far it is.
EVERY = 0.5


def score(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """Score what `folder` asks on this rank of the open process group; rank 0 writes the scores.

    The replicas of `parallel.data_parallel_size` share the windows; the ranks of each share the
    model, and have the same scores.
    """
    asked = read_asked(folder)
    network, mesh, device = loaded(config, asked.checkpoint, asked.vocab_size)
    own = batches(asked.windows, asked.batch, mesh.data.rank, mesh.data.size)
    telling = folder if dist.get_rank() == 0 else None
    with torch.inference_mode(), autocast(config.trainer.precision, device.type)():
        began = time.monotonic()
        parts = window_scores(network, asked, _told(own, telling, config.trainer.max_steps))
        seconds = time.monotonic() - began
    scores = mesh.data.all_reduce(parts.to(device)).cpu().numpy()
    if telling is not None:
        write_scores(folder, scores)
    return {"status": "completed", "seconds": seconds, "windows": len(asked.windows)}


def window_scores(network: LanguageModel, asked: Asked, todo: Iterator[Batch]) -> Tensor:
    """[w, 3] fp64 on the CPU: summed losses, all right, last right; zero where not in `todo`."""
    found = torch.zeros(len(asked.windows), 3, dtype=torch.float64)
    for batch in todo:
        found[torch.from_numpy(batch.numbers)] = batch_scores(network, asked.vocab_size, batch)
    return found


def batch_scores(network: LanguageModel, vocab_size: int, batch: Batch) -> Tensor:
    """[b, 3] fp64 on the CPU of one batch.

    The last layer and the logits are computed for its scored positions alone, [b, m] of them,
    where a window of fewer than m is filled up with others.
    """
    device = network.word_embeddings.weight.device
    counts = np.bincount(batch.rows, minlength=len(batch.numbers))
    order = np.arange(len(batch.rows)) - (np.cumsum(counts) - counts)[batch.rows]
    positions = np.zeros((len(counts), counts.max()), dtype=np.int64)
    positions[batch.rows, order] = batch.columns
    tokens, at = (torch.from_numpy(a).to(device) for a in (batch.tokens, positions))
    hidden = hidden_at(network, tokens, at)
    rows, places = torch.from_numpy(batch.rows), torch.from_numpy(order)
    scores = vocab_parallel_target_scores(
        hidden[rows.to(device), places.to(device)],
        network.word_embeddings.weight,
        torch.from_numpy(batch.targets).to(device),
        network.group,
        vocab_size,
        network.shape.loss_chunk_tokens,
    )
    losses, right = scores.losses.double().cpu(), scores.right.double().cpu()
    ends = torch.from_numpy(np.cumsum(counts) - 1)
    found = torch.zeros(len(batch.numbers), 3, dtype=torch.float64)
    found[:, 0].index_add_(0, rows, losses)
    found[:, 1].index_add_(0, rows, 1.0 - right)
    found[:, 1] = (found[:, 1] == 0).double()
    found[:, 2] = right[ends]
    return found


def _told(own: Iterator[Batch], folder: JobFolder | None, steps: int) -> Iterator[Batch]:
    """The batches; the rows of metrics.jsonl say how many of the `steps` are done."""
    began = said = time.monotonic()
    tokens = 0
    for number, batch in enumerate(own, 1):
        yield batch
        tokens += batch.tokens.size
        now = time.monotonic()
        if folder is not None and (now - said > EVERY or number == steps):
            said, seconds = now, now - began
            row = {"step": number, "seconds": seconds, "perf/tokens_per_second": tokens / seconds}
            with folder.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
