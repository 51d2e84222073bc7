"""Job folders as a sweep leaves them, with curves from power laws; no training takes place."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from hydratron.config.model import ModelConfig
from hydratron.config.parallel import ParallelConfig
from hydratron.config.schema import Config, OptimConfig
from hydratron.config.trainer import TrainerConfig

PICO = ModelConfig(name="gpt_pico", num_layers=2, hidden_size=128, init_std=0.057)
NANO = ModelConfig(name="gpt_nano", num_layers=4, hidden_size=192, init_std=0.046)
MICRO = ModelConfig(name="gpt_micro", num_layers=6, hidden_size=256, init_std=0.04)
MODELS = (PICO, NANO, MICRO)
PARAMETERS = {"gpt_pico": 545_280, "gpt_nano": 2_001_024, "gpt_micro": 5_034_496}
FLOOR = {"gpt_pico": 4.2, "gpt_nano": 3.95, "gpt_micro": 3.85}
STEPS, LOG_EVERY, VAL_EVERY = 400, 2, 20
TOKENS_PER_STEP = 4 * 128
PROVENANCE = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "versions": {"python": "3.11.9", "torch": "2.13.0", "lightning": "2.6.6"},
    "hardware": {"cpu": "2 cores", "gpu": None},
    "data": "sha256:9f86d081",
}


def config(model: ModelConfig = PICO, tp: int = 1, dp: int = 1, seed: int = 1) -> Config:
    """A job of the scaling sweep."""
    return Config(
        model=replace(model, dropout=0.0),
        parallel=ParallelConfig(tp, dp),
        optim=OptimConfig(lr=1e-3),
        trainer=TrainerConfig(max_steps=STEPS, global_batch_size=4, micro_batch_size=4 // dp),
        seed=seed,
    )


def rows(cfg: Config, steps: int = STEPS) -> list[dict[str, Any]]:
    """The rows such a job logs: the same noise at every degree, 1e-6 apart."""
    floor = FLOOR.get(cfg.model.name, 4.0)
    shared, own = random.Random(f"{cfg.model.name} {cfg.seed}"), random.Random(cfg.variant)
    degree = cfg.parallel.world_size
    speed = 1.9e4 * (2 / cfg.model.num_layers) ** 1.6 * degree**0.55
    found = []
    for step in range(0, steps + 1, LOG_EVERY):
        true = floor + 3.42 * (1 + step / 12) ** -0.55
        tokens = step * TOKENS_PER_STEP
        row: dict[str, Any] = {"step": step, "tokens": tokens, "seconds": tokens / speed}
        if step:
            parity = own.gauss(0, 1e-6) if degree > 1 else 0.0
            warm = min(1.0, step / 40)
            row["train/loss"] = true + shared.gauss(0, 0.07) + parity
            row["lr"] = 1e-3 * warm * 0.5 * (1 + math.cos(math.pi * step / STEPS))
            row["grad_norm"] = 0.5 + 2.2 * math.exp(-step / 60) + abs(shared.gauss(0, 0.12))
            row["perf/tokens_per_second"] = speed * own.gauss(1, 0.03)
            row["perf/mfu"] = 0.34 * degree**-0.3 * own.gauss(1, 0.03)
            row["perf/memory_bytes"] = int(
                4.1e8 + 60 * PARAMETERS.get(cfg.model.name, 1e6) / degree
            )
        found.append(row)
        if step % VAL_EVERY == 0:
            loss = true + 0.02 + shared.gauss(0, 0.006) + (own.gauss(0, 1e-6) if degree > 1 else 0)
            position = {key: row[key] for key in ("step", "tokens", "seconds")}
            found.append(position | {"val/loss": loss, "val/perplexity": math.exp(loss)})
    return found


def write_job(
    folder: Path,
    cfg: Config,
    logged: list[dict[str, Any]] | None = None,
    status: str | None = "completed",
    failure: dict[str, Any] | None = None,
) -> Path:
    """One job folder; without a status no result, and with a failure its failure.json."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(asdict(cfg), sort_keys=False))
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE | {"seed": cfg.seed}))
    logged = rows(cfg) if logged is None else logged
    if logged:
        lines = "".join(json.dumps(row) + "\n" for row in logged)
        (folder / "metrics.jsonl").write_text(lines)
    if status is not None:
        final: dict[str, Any] = {}
        for row in logged:
            final |= row
        final |= {"status": status, "parameters": PARAMETERS.get(cfg.model.name, 1_000_000)}
        if status == "diverged":
            final["reason"] = DIVERGED
        (folder / "result.json").write_text(json.dumps(final))
    if failure is not None:
        (folder / "failure.json").write_text(json.dumps(failure))
    return folder


DIVERGED = "the loss of step 190 is nan"
FAILURE = {
    "rank": 1,
    "kind": "RuntimeError",
    "message": "[enforce fail at alloc_cpu.cpp:127] not enough memory: tried to allocate 2 GB",
    "traceback": 'Traceback (most recent call last):\n  File "train.py", line 1\nRuntimeError',
    "step": 130,
}


def write_sweep(folder: Path, hostile: str | None = None) -> Path:
    """Three models at two degrees; the last job failed. `hostile` renames the largest model."""
    for index, (model, tp) in enumerate((m, tp) for m in MODELS for tp in (1, 2)):
        cfg = config(model, tp)
        if hostile and model is MICRO:
            cfg = replace(cfg, model=replace(cfg.model, name=hostile))
        job = folder / f"{index:03d}_{cfg.variant}-s1"
        if index == 5:
            write_job(job, cfg, rows(cfg, steps=130), status=None, failure=FAILURE)
        else:
            write_job(job, cfg)
    return folder


def write_twelve(folder: Path) -> Path:
    """Two models, two rates and three seeds; one job diverged and one failed."""
    jobs = [(m, lr, seed) for m in (PICO, NANO) for lr in (1e-3, 3e-3) for seed in (1, 2, 3)]
    for index, (model, lr, seed) in enumerate(jobs):
        cfg = replace(config(model, seed=seed), optim=OptimConfig(lr=lr))
        job = folder / f"{index:03d}_{cfg.variant}-lr{lr:g}-s{seed}"
        logged = rows(cfg)
        for row in logged:
            for key in ("train/loss", "val/loss"):
                if key in row:
                    row[key] += 0.15 * (lr > 1e-3) * (model is PICO)
        if index == 4:
            write_job(job, cfg, blown_up(logged[:90]), "diverged")
        elif index == 10:
            write_job(job, cfg, logged[:150], status=None, failure=FAILURE)
        else:
            write_job(job, cfg, logged)
    return folder


def blown_up(logged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with a loss that grows without bound from the middle on, and ends as nan."""
    middle = len(logged) // 2
    for index, row in enumerate(logged[middle:]):
        for key in ("train/loss", "val/loss"):
            if key in row:
                row[key] += 0.02 * math.exp(index / 4)
    return [*logged, logged[-1] | {"step": logged[-1]["step"] + 2, "train/loss": math.nan}]
