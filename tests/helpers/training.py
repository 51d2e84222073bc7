"""Whole training runs of a tiny GPT on real ranks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hydratron.config.load import from_dict
from hydratron.config.schema import Config
from hydratron.job import JobFolder
from hydratron.launch.environment import one_host
from tests.helpers import transport
from tests.helpers.ranks import run_ranks

Rows = list[dict[str, Any]]


def train_rank(
    rank: int, world_size: int, config: Config, folder: Path, resume: Path | None
) -> dict[str, Any]:
    from hydratron.training.train import train

    os.environ.update(one_host(rank, world_size))
    return train(config, JobFolder(folder), resume)


def small_training(data: Path, tp: int = 1, dp: int = 1, **changes: Any) -> Config:
    """The training of a tiny GPT; changes are `group__key=value` and `key=value`."""
    content: dict[str, Any] = {
        "model": {
            "num_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "seq_length": 16,
            "dropout": 0.0, "init_std": 0.1, "vocab_multiple": 64,
        },
        "data": {"prepared": str(data)},
        "optim": {"lr": 2e-3, "clip_grad": 0.5},
        "schedule": {"warmup_steps": 5},
        "trainer": {
            "accelerator": "cpu", "max_steps": 50, "global_batch_size": 8, "micro_batch_size": 4,
            "log_every_n_steps": 1, "val_every_n_steps": 20, "val_samples": 9,
        },
        "parallel": {
            "tensor_model_parallel_size": tp, "data_parallel_size": dp,
            "transport": transport.chosen(),
        },
        "logger": {"kind": "none"},
    }  # fmt: skip
    for key, value in changes.items():
        group, _, name = key.partition("__")
        if name:
            content.setdefault(group, {})[name] = value
        else:
            content[group] = value
    return from_dict(content)


def run(
    folder: Path, data: Path, resume: Path | None = None, tp: int = 1, dp: int = 1, **changes: Any
) -> tuple[Rows, dict[str, Any]]:
    """Train it.  Returns the metrics and the result."""
    folder.mkdir(parents=True)
    config = small_training(data, tp, dp, **changes)
    world_size = config.parallel.world_size
    results = run_ranks(train_rank, world_size, config, folder, resume, timeout=120)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return rows, results[0]


def series(rows: Rows, key: str) -> dict[int, float]:
    return {row["step"]: row[key] for row in rows if key in row}
