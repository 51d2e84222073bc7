"""Whole training runs: every parallel degree is the same run, and a resumed run is the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hydratron.config.load import load
from hydratron.config.schema import Config
from tests.helpers.prepared import synthetic_prepared
from tests.helpers.ranks import run_ranks
from tests.helpers.training import Rows, run, series, train_rank

DEGREES = [(2, 1), (4, 1), (1, 2), (2, 2)]


def assert_same(rows: Rows, expected: Rows, tolerance: float) -> None:
    for key in ("train/loss", "grad_norm", "val/loss"):
        wanted = series(expected, key)
        assert series(rows, key) == pytest.approx(wanted, rel=tolerance, abs=0), key


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_prepared(tmp_path_factory.mktemp("data") / "small", 60)


@pytest.fixture(scope="module")
def one(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, dict[str, Any], Path]:
    """The run of one process that all others are held against."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    return *run(folder, data, checkpoint__every_n_steps=15, checkpoint__keep=9), folder


def test_one_process_learns_and_logs_what_the_design_says(one: Any) -> None:
    rows, result, folder = one
    losses = series(rows, "train/loss")
    assert list(losses) == list(range(1, 51))
    assert losses[50] < losses[1] - 1.0
    assert list(series(rows, "val/loss")) == [20, 40, 50]
    assert series(rows, "tokens")[50] == 50 * 8 * 16
    assert rows[0].keys() == {
        "step", "tokens", "seconds", "train/loss", "train/spikes", "lr", "grad_norm",
        "perf/tokens_per_second", "perf/mfu", "perf/memory_bytes", "perf/data_wait",
    }  # fmt: skip
    assert max(series(rows, "grad_norm").values()) > 0.5  # so clipping took part
    assert result["status"] == "completed"
    assert result["step"] == 50
    assert result["val/loss"] == series(rows, "val/loss")[50]
    h, layers = 32, 2
    assert result["parameters"] == 64 * h + 16 * h + layers * (12 * h * h + 13 * h) + 2 * h
    assert [p.name for p in sorted((folder / "checkpoints").iterdir())] == [
        "step_00000015", "step_00000030", "step_00000045", "step_00000050",
    ]  # fmt: skip


@pytest.mark.parametrize(("tp", "dp"), DEGREES)
def test_every_degree_is_the_same_run(
    tp: int, dp: int, one: Any, data: Path, tmp_path: Path
) -> None:
    rows, result = run(tmp_path / "job", data, tp=tp, dp=dp)
    assert_same(rows, one[0], 1e-5)
    assert result["parameters"] == one[1]["parameters"]


def test_accumulation_changes_nothing(one: Any, data: Path, tmp_path: Path) -> None:
    rows, _ = run(tmp_path / "job", data, tp=2, trainer__micro_batch_size=1)
    assert_same(rows, one[0], 1e-5)


@pytest.mark.fault(29)
def test_a_vocabulary_of_50257_is_the_same_run(tmp_path: Path) -> None:
    data = synthetic_prepared(tmp_path / "data", 50257)
    options: dict[str, Any] = {"model__vocab_multiple": 1024, "trainer__max_steps": 20}
    expected, _ = run(tmp_path / "one", data, **options)
    for tp in (2, 4):
        rows, _ = run(tmp_path / f"tp{tp}", data, tp=tp, **options)
        assert_same(rows, expected, 1e-5)


def test_bf16_trains_and_its_degrees_agree(one: Any, data: Path, tmp_path: Path) -> None:
    single, _ = run(tmp_path / "one", data, trainer__precision="bf16")
    double, _ = run(tmp_path / "two", data, tp=2, trainer__precision="bf16")
    assert_same(double, single, 0.03)
    assert series(single, "train/loss") == pytest.approx(series(one[0], "train/loss"), rel=0.03)
    assert series(single, "train/loss") != series(one[0], "train/loss")


@pytest.mark.fault(22)
@pytest.mark.parametrize("cut", [15, 45])
def test_a_resumed_run_repeats_every_number(cut: int, one: Any, data: Path, tmp_path: Path) -> None:
    checkpoint = one[2] / "checkpoints" / f"step_{cut:08d}"
    rows, result = run(tmp_path / "job", data, resume=checkpoint)
    expected = [row for row in one[0] if row["step"] > cut]
    assert_same(rows, expected, 0.0)
    assert series(rows, "lr") == series(expected, "lr")
    assert series(rows, "tokens") == series(expected, "tokens")
    assert result["seconds"] > max(row["seconds"] for row in one[0] if row["step"] == cut)


@pytest.mark.fault(23, 24)
@pytest.mark.parametrize(("tp", "dp", "micro"), [(2, 1, 4), (1, 2, 2), (2, 2, 4)])
def test_a_run_goes_on_at_another_degree(
    tp: int, dp: int, micro: int, one: Any, data: Path, tmp_path: Path
) -> None:
    checkpoint = one[2] / "checkpoints" / "step_00000015"
    rows, _ = run(
        tmp_path / "job", data, resume=checkpoint, tp=tp, dp=dp, trainer__micro_batch_size=micro
    )
    assert_same(rows, [row for row in one[0] if row["step"] > 15], 1e-5)


@pytest.mark.fault(22, 25)
def test_dropout_is_resumed_in_both_streams(data: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"tp": 2, "model__dropout": 0.2, "trainer__max_steps": 12}
    whole, _ = run(tmp_path / "whole", data, checkpoint__every_n_steps=5, **options)
    checkpoint = tmp_path / "whole" / "checkpoints"
    assert [p.name for p in checkpoint.iterdir()] == ["step_00000012"]  # keep=1
    whole, _ = run(
        tmp_path / "kept", data, checkpoint__every_n_steps=5, checkpoint__keep=3, **options
    )
    rows, _ = run(
        tmp_path / "job",
        data,
        resume=tmp_path / "kept" / "checkpoints" / "step_00000005",
        **options,
    )
    assert_same(rows, [row for row in whole if row["step"] > 5], 0.0)


def default_stream(
    rank: int, world_size: int, config: Config, folder: Path, resume: Path | None
) -> Any:
    import torch

    train_rank(rank, world_size, config, folder, resume)
    return torch.get_rng_state()


def test_ranks_that_a_resume_adds_share_the_stream_of_their_replica(
    data: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"model__dropout": 0.2, "trainer__max_steps": 6}
    run(tmp_path / "one", data, checkpoint__every_n_steps=3, checkpoint__keep=2, **options)
    checkpoint = tmp_path / "one" / "checkpoints" / "step_00000003"
    config = load(checkpoint / "config.yaml")
    config.parallel.tensor_model_parallel_size = 2
    (tmp_path / "again").mkdir()
    first, second = run_ranks(default_stream, 2, config, tmp_path / "again", checkpoint)
    assert first.equal(second)


@pytest.mark.fault(19)
def test_a_changed_checkpoint_is_refused(one: Any, data: Path, tmp_path: Path) -> None:
    import shutil

    checkpoint = tmp_path / "step_00000015"
    shutil.copytree(one[2] / "checkpoints" / "step_00000015", checkpoint)
    shard = next(checkpoint.glob("*.distcp"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(AssertionError, match=r"distcp: missing or changed"):
        run(tmp_path / "job", data, resume=checkpoint)
