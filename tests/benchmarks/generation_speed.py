"""Tokens per second of generation, with the cache of keys and values and without one.

    python -m tests.benchmarks.generation_speed CHECKPOINT [--tokens 100] [--threads 1]

CHECKPOINT is a checkpoint or a job of a GPT.  The prompt is one token; the same tokens come both
ways, which is checked.  The rounds are taken in turn, because other work on the machine slows them;
the best of each counts.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.distributed as dist

from hydratron.evaluation.checkpoints import evaluation_config, find, opened
from hydratron.evaluation.decoding import next_tokens
from hydratron.evaluation.loading import loaded
from hydratron.evaluation.sampling import Chooser, Sampling

ROUNDS = 3
WAYS = {"with the cache": True, "without": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    checkpoint = opened(find([args.checkpoint])[0][0])
    config = evaluation_config(checkpoint.config, {}, args.threads)
    size = checkpoint.tokenizer.vocab_size
    network = loaded(config, checkpoint.path, size).network
    best = dict.fromkeys(WAYS, float("inf"))
    texts = set()
    for _ in range(ROUNDS):
        for name, cached in WAYS.items():
            began, choose = time.perf_counter(), Chooser(Sampling(temperature=1.0))
            with torch.inference_mode():
                tokens = next_tokens(network, [0], args.tokens, size, choose, cached)
                texts.add(tuple(tokens))
            best[name] = min(best[name], time.perf_counter() - began)
    assert len(texts) == 1, "the cache changed a token"
    for name, seconds in best.items():
        print(f"{name:16} {args.tokens / seconds:8.1f} tokens/s")


if __name__ == "__main__":
    main()
