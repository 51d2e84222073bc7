"""Asked to stop, or broken by a number: all ranks agree at a step's end, before the update."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from hydratron.checkpoint import folder as checkpoints
from hydratron.checkpoint import manifest
from hydratron.checkpoint.manifest import verify
from hydratron.config.schema import Config
from hydratron.tasks.causal import Causal
from tests.helpers.prepared import synthetic_prepared
from tests.helpers.ranks import run_ranks
from tests.helpers.training import run, series, small_training, train_rank

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_prepared(tmp_path_factory.mktemp("data") / "small", 60)


class Spoiled(Causal):
    """At the forward pass of number `at` of training something happens, on rank `rank` alone."""

    def __init__(self, rank: int, mine: int, at: int, what: str) -> None:
        self.here, self.at, self.what, self.seen = rank == mine, at, what, 0

    def sums(self, network: Any, batch: Any) -> Tensor:
        losses = super().sums(network, batch)
        if not (torch.is_grad_enabled() and self.here):
            return losses
        self.seen += 1
        if self.seen != self.at:
            return losses
        if self.what == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        if self.what == "signals":  # A scheduler's, to every process.
            workers = multiprocessing.active_children()
            assert workers
            assert all(ignores_sigterm(worker.pid) for worker in workers)
            for process in (*workers, multiprocessing.current_process()):
                os.kill(process.pid or 0, signal.SIGTERM)
        if self.what == "weights":
            network.final_norm.bias.data[0] = float("inf")
        if self.what == "gradient":
            network.word_embeddings.weight.register_hook(lambda grad: grad * float("nan"))
        return losses * float("nan") if self.what == "loss" else losses


def ignores_sigterm(pid: int | None) -> bool:
    """A worker may have inherited a handler that only happens to do nothing."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return bool(int(status["SigIgn"], 16) >> (signal.SIGTERM - 1) & 1)


def spoiled_rank(
    rank: int, world_size: int, config: Config, folder: Path, spoil: tuple[int, int, str]
) -> dict[str, Any]:
    where, at, what = spoil
    task = Spoiled(rank, where, at, what)
    with patch("hydratron.tasks.table.Row.task", lambda row: task):
        return train_rank(rank, world_size, config, folder, None)


@pytest.mark.fault(8)
def test_a_signal_to_one_rank_saves_at_the_end_of_the_step_and_goes_on(
    data: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"trainer__max_steps": 8, "model__dropout": 0.1}
    whole, _ = run(tmp_path / "whole", data, tp=2, **options)
    config = small_training(data, tp=2, **options)
    (tmp_path / "cut").mkdir()
    # Two micro-batches a step: the fifth step.
    results = run_ranks(spoiled_rank, 2, config, tmp_path / "cut", (1, 9, "signal"), timeout=120)
    assert {(r["status"], r["step"], r["signal"]) for r in results} == {("preempted", 5, "SIGTERM")}
    checkpoint = tmp_path / "cut" / "checkpoints" / "step_00000005"
    rows, result = run(tmp_path / "on", data, resume=checkpoint, tp=2, **options)
    assert result["status"] == "completed"
    for key in ("train/loss", "grad_norm"):
        expected = {step: v for step, v in series(whole, key).items() if step > 5}
        assert series(rows, key) == expected


@pytest.mark.fault(37, 38)
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_on_one_rank_stops_all_before_the_update(
    what: str, data: Path, tmp_path: Path
) -> None:
    config = small_training(data, tp=2, trainer__max_steps=8, checkpoint__every_n_steps=2)
    (tmp_path / "job").mkdir()
    results = run_ranks(spoiled_rank, 2, config, tmp_path / "job", (1, 7, what), timeout=120)
    assert {r["status"] for r in results} == {"diverged"}
    said = "the loss is nan in step 4" if what == "loss" else "the gradient norm is nan in step 4"
    assert {r["reason"] for r in results} == {said}
    # That of the last whole step, and nothing after it.
    assert [p.name for p in (tmp_path / "job" / "checkpoints").iterdir()] == ["step_00000002"]
    # The fourth step of eight samples each.
    found = {(r["broken"]["step"], *r["broken"]["samples"]) for r in results}
    assert found == {(4, 24, 31)}
    assert all(r["broken"]["ranks"] == [1] for r in results)
    lines = (tmp_path / "job" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    broken = next(row for row in rows if row["step"] == 4 and "grad_norm" in row)
    assert broken["grad_norm"] is None or broken["train/loss"] is None


@pytest.mark.fault(37)
def test_a_broken_parameter_does_not_replace_a_good_checkpoint(data: Path, tmp_path: Path) -> None:
    config = small_training(data, tp=2, trainer__max_steps=8, checkpoint__every_n_steps=2)
    (tmp_path / "job").mkdir()
    # After the last gradients of the fourth step, which are finite, as all losses so far.
    spoil = (1, 8, "weights")
    results = run_ranks(spoiled_rank, 2, config, tmp_path / "job", spoil, timeout=120)
    assert {r["status"] for r in results} == {"diverged"}
    said = "final_norm.bias is not finite after step 4, which was not saved"
    assert {r["reason"] for r in results} == {said}
    assert [p.name for p in (tmp_path / "job" / "checkpoints").iterdir()] == ["step_00000002"]


@pytest.mark.fault(10)
def test_data_workers_outlast_a_signal_to_all(data: Path, tmp_path: Path) -> None:
    config = small_training(data, dp=2, trainer__max_steps=8, data__num_workers=1)
    (tmp_path / "job").mkdir()
    # One micro-batch a step.
    results = run_ranks(spoiled_rank, 2, config, tmp_path / "job", (1, 5, "signals"), timeout=120)
    assert {(r["status"], r["step"]) for r in results} == {("preempted", 5)}
    assert verify(tmp_path / "job" / "checkpoints" / "step_00000005")


@pytest.mark.fault(11)
def test_a_signal_during_a_save_lets_it_finish(data: Path, tmp_path: Path) -> None:
    config = small_training(data, tp=2, trainer__max_steps=8, checkpoint__every_n_steps=2)
    config.checkpoint.keep = 9
    (tmp_path / "job").mkdir()
    results = run_ranks(signalled_in_save, 2, config, tmp_path / "job", timeout=120)
    assert {(r["status"], r["step"]) for r in results} == {("preempted", 3)}
    # The one that it came in, and the one that it asks for.
    found = sorted((tmp_path / "job" / "checkpoints").iterdir())
    assert [path.name for path in found] == ["step_00000002", "step_00000003"]
    assert all(map(verify, found))


def signalled_in_save(rank: int, world_size: int, config: Config, folder: Path) -> dict[str, Any]:
    sent: list[int] = []

    def write(file: Path, text: str) -> None:
        if not sent:
            sent.append(os.getpid())
            os.kill(sent[0], signal.SIGTERM)
        manifest.write(file, text)

    with patch.object(checkpoints, "write", write):
        return train_rank(rank, world_size, config, folder, None)


@pytest.mark.fault(37)
def test_a_validation_loss_that_is_no_number_ends_the_run_as_diverged(
    data: Path, tmp_path: Path
) -> None:
    config = small_training(data, trainer__max_steps=6, trainer__val_every_n_steps=2)
    (tmp_path / "job").mkdir()
    (result,) = run_ranks(nan_in_validation, 1, config, tmp_path / "job", timeout=120)
    assert (result["status"], result["step"]) == ("diverged", 2)
    assert result["reason"] == "the validation loss is nan after step 2"
    assert result["val/loss"] is None
    assert not (tmp_path / "job" / "checkpoints").exists()
    for line in (tmp_path / "job" / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def nan_in_validation(rank: int, world_size: int, config: Config, folder: Path) -> dict[str, Any]:
    with patch.object(Causal, "metrics", lambda self, scores: {"val/loss": float("nan")}):
        return train_rank(rank, world_size, config, folder, None)
