"""Windows per second: one at a time, with all logits, beside batches with the scored ones alone.

    python -m tests.benchmarks.evaluation_speed CHECKPOINT FILE [--windows 512] [--threads 1]

CHECKPOINT is a checkpoint or a job of a GPT, FILE a WikiText file.  The first row is how a plain
loop scores: a forward pass for each window, and the logits of all its tokens over the vocabulary.
The rounds are taken in turn, because other work on the machine slows them; the best of each counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn import functional as F

from hydratron.checkpoint.folder import load_weights
from hydratron.checkpoint.participants import ModelState
from hydratron.evaluation.checkpoints import find, opened
from hydratron.evaluation.contract import Request
from hydratron.evaluation.exchange import Asked
from hydratron.evaluation.score import window_scores
from hydratron.evaluation.table import TASKS
from hydratron.evaluation.windows import Windows, batches
from hydratron.models.language import LanguageModel
from hydratron.parallel.mesh import build_mesh
from hydratron.parallel.random import RandomStreams
from hydratron.training.build import build_network, parameter_table

SIZES, ROUNDS = (1, 4, 8, 16, 64), 3
PLAIN = "one at a time, all logits"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--windows", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    checkpoint = opened(find([args.checkpoint])[0][0])
    context = checkpoint.config.model.seq_length
    task = TASKS["wikitext103"]
    request = Request(context, task.stride(context), args.file)
    windows = _first(task.read(request, checkpoint.tokenizer).windows, args.windows)
    asked = Asked(checkpoint.path, windows, checkpoint.tokenizer.vocab_size, 1)
    mesh = build_mesh({"data": 1, "tensor": 1}, "cpu")
    config = checkpoint.config
    network = build_network(config, asked.vocab_size, mesh, RandomStreams(1), "cpu").eval()
    load_weights(checkpoint.path, ModelState(network, parameter_table(config), mesh))
    ways: dict[str, Callable[[], float]] = {PLAIN: partial(plain, network, asked)}
    for size in SIZES:
        ways[f"batch {size}, scored logits"] = partial(batched, network, asked, size)
    best = {name: float("inf") for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.perf_counter()
            total = way()
            best[name] = min(best[name], time.perf_counter() - began)
            print(f"{name:28} {total:.6f} nats")
    slowest = best[PLAIN]
    for name, seconds in best.items():
        speed = len(windows) / seconds
        print(f"{name:28} {speed:8.1f} windows/s  {slowest / seconds:5.2f} x")


@torch.inference_mode()
def plain(network: LanguageModel, asked: Asked) -> float:
    """The summed loss, a window at a time."""
    total = 0.0
    for batch in batches(asked.windows, 1):
        hidden = network(torch.from_numpy(batch.tokens))
        logits = F.linear(hidden, network.word_embeddings.weight)[0, :, : asked.vocab_size]
        scores = logits.float().log_softmax(-1)
        total -= scores[batch.columns, batch.targets].double().sum().item()
    return total


@torch.inference_mode()
def batched(network: LanguageModel, asked: Asked, size: int) -> float:
    """The same as `hydratron evaluate` scores it."""
    scores = window_scores(network, asked, batches(asked.windows, size))
    return float(scores[:, 0].sum())


def _first(windows: Windows, count: int) -> Windows:
    cut = [column[:count] for column in (windows.starts, windows.lengths, windows.scored)]
    return dataclasses.replace(
        windows, **dict(zip(("starts", "lengths", "scored"), cut, strict=True))
    )


if __name__ == "__main__":
    main()
