"""`python contend.py NAME CONFIG OUT RANK RANKS`: one rank trains until it is ended.

CONFIG is the config.yaml of our job for the same work, whose tokens, batch, seed, precision and
threads hold for all; OUT is a folder for metrics.jsonl with the rows that our job would write, and
for the file by which ranks meet.  `python contend.py versions` says who is installed.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parent))
from contenders import BUILDERS, Work, ready, versions

from hydratron.config.load import load
from hydratron.config.rules import logging_interval
from hydratron.config.schema import Config
from hydratron.data.corpus import open_corpus
from hydratron.data.samples.assemble import training_samples
from hydratron.training.precision import autocast
from hydratron.training.throughput import memory_bytes

BATCHES = 16  # Read beforehand, and over again: their reading is no part of the comparison.


def main() -> None:
    if sys.argv[1] == "versions":
        print(json.dumps(versions()))
        return
    name, out, rank, ranks = sys.argv[1], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
    config = load(Path(sys.argv[2]))
    device = torch.device("cuda" if config.trainer.accelerator == "gpu" else "cpu")
    torch.set_num_threads(config.launch.threads_per_rank or len(os.sched_getaffinity(0)))
    torch.set_float32_matmul_precision(config.trainer.matmul_precision)
    if ranks > 1:
        store = dist.FileStore(str(out / "meeting"), ranks)
        kind = "gloo" if device.type == "cpu" else "nccl"
        dist.init_process_group(
            kind, store=store, rank=rank, world_size=ranks, timeout=timedelta(hours=2)
        )
    train(name, config, out, device, rank, ranks)


def train(
    name: str, config: Config, out: Path, device: torch.device, rank: int, ranks: int
) -> None:
    """Step after step; the first rank writes rows."""
    assert config.data.prepared is not None
    corpus = open_corpus(config.data.prepared)
    work = Work(config, corpus.vocab_size, device, rank, ranks)
    contender = BUILDERS[name](work)
    size, length = config.trainer.global_batch_size, config.model.seq_length
    # As many as the job asks for: another number would be in another order.
    samples = training_samples(config.reader, corpus, length, [config.samples], config.seed)
    share = size // ranks if contender.replicated else size
    first = share * rank if contender.replicated else 0
    batches = []
    for step in range(min(BATCHES, config.trainer.max_steps)):
        mine = [samples[step * size + first + i] for i in range(share)]
        tokens = config.learning.task().collate(mine)["tokens"]
        batches.append(torch.as_tensor(tokens, dtype=torch.int64, device=device))
    precision = autocast(config.trainer.precision, device.type)
    every, last = logging_interval(config.trainer), config.trainer.max_steps
    ready(work)
    began = time.monotonic()
    file = (out / "metrics.jsonl").open("a", encoding="utf-8") if rank == 0 else None
    for step in itertools.count(1):
        tokens = batches[(step - 1) % len(batches)]
        with precision():
            loss = contender.loss(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        norm = contender.clip()
        contender.optimizer.step()
        contender.optimizer.zero_grad()
        if step % every == 0 or step == 1:
            if contender.replicated and step == 1:  # Of all replicas, to compare with the others'.
                dist.all_reduce(loss.detach().div_(ranks))
            row = {
                "step": step,
                "seconds": time.monotonic() - began,
                "train/loss": float(loss.detach()),
            }
            if file is not None:
                row |= {"grad_norm": float(norm), "perf/memory_bytes": memory_bytes(device)}
                file.write(json.dumps(row) + "\n")
                file.flush()
        if step == last:
            return


if __name__ == "__main__":
    main()
