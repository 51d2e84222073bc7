"""Runs whose layers are divided among stages: they go on at any degree, and agree on all ranks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hydratron.parallel.mesh import build_mesh
from tests.helpers.prepared import synthetic_prepared
from tests.helpers.ranks import run_ranks
from tests.helpers.training import Rows, run, series

CUT, STEPS = 2, 8
OPTIONS: dict[str, Any] = {
    "model__num_layers": 4,
    "trainer__max_steps": STEPS,
    "trainer__val_every_n_steps": 4,
    "trainer__micro_batch_size": 2,
    "checkpoint__every_n_steps": CUT,
    "checkpoint__keep": 4,
    "stability__layers_every_n_steps": 4,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_prepared(tmp_path_factory.mktemp("data") / "small", 60)


@pytest.fixture(scope="module")
def one(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("runs") / "one"
    rows, result = run(folder, data, **OPTIONS)
    return rows, result, folder


def staged(pp: int, schedule: str = "gpipe", **changes: Any) -> dict[str, Any]:
    degree = {"parallel__pipeline_model_parallel_size": pp, "parallel__pipeline_schedule": schedule}
    return OPTIONS | degree | changes


def assert_same(rows: Rows, expected: Rows) -> None:
    keys = {key for row in rows for key in row if key.startswith(("train/", "val/", "layers/"))}
    assert {"train/loss", "val/loss", "layers/03/update_ratio"} <= keys
    for key in {*keys, "grad_norm"} - {"val/frequency_loss"}:
        found, wanted = series(rows, key), series(expected, key)
        assert found.keys() == {step for step in wanted if step >= min(found)}, key
        assert found == pytest.approx({step: wanted[step] for step in found}, rel=1e-5), key


def test_a_run_goes_on_at_any_number_of_stages(one: Any, data: Path, tmp_path: Path) -> None:
    expected, result, start = one
    ways = [
        staged(2, "1f1b", parallel__distributed_optimizer=True, dp=2),
        staged(4, "gpipe"),
        OPTIONS | {"tp": 2},
    ]
    for number, options in enumerate(ways, 1):
        before = start / "checkpoints" / f"step_{number * CUT:08d}"
        start = tmp_path / f"run{number}"
        # Each goes on to the end, and the next one from what it saved on the way.
        rows, found = run(start, data, resume=before, **options)
        assert_same(rows, expected)
        assert found["parameters"] == result["parameters"]


def test_stages_start_from_the_weights_of_another_run(one: Any, data: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "init_checkpoint": str(one[2] / "checkpoints" / f"step_{STEPS:08d}"), "seed": 7,
        "trainer__max_steps": 3, "trainer__val_every_n_steps": 3, "checkpoint__at_end": False,
    }  # fmt: skip
    expected, _ = run(tmp_path / "one", data, **OPTIONS | options)
    rows, _ = run(tmp_path / "two", data, **staged(2, "1f1b", **options))
    for key in ("train/loss", "grad_norm", "val/loss"):
        assert series(rows, key) == pytest.approx(series(expected, key), rel=1e-5), key
    fresh, known = (series(found, "train/loss")[1] for found in (one[0], rows))
    assert known < fresh - 0.02


def test_dropout_is_resumed_at_every_stage(data: Path, tmp_path: Path) -> None:
    options = staged(2, model__dropout=0.2, model__num_layers=2, trainer__max_steps=4)
    whole, _ = run(tmp_path / "whole", data, **options)
    saved = tmp_path / "whole" / "checkpoints" / "step_00000002"
    rows, _ = run(tmp_path / "job", data, resume=saved, **options)
    for key in ("train/loss", "grad_norm", "val/loss"):
        assert series(rows, key) == {s: v for s, v in series(whole, key).items() if s > 2}, key


SCALE = {"initial": 2.0**26, "window": 2, "hysteresis": 1}


def test_fp16_skips_the_same_steps(data: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "model__num_layers": 2, "trainer__max_steps": 16, "trainer__precision": "fp16",
        "trainer__loss_scale": SCALE, "checkpoint__at_end": False, "checkpoint__every_n_steps": 0,
        "trainer__micro_batch_size": 2,
    }  # fmt: skip
    one, _ = run(tmp_path / "one", data, **options)
    two, _ = run(tmp_path / "two", data, **staged(2, "1f1b", **options))
    skipped = series(two, "skipped_steps")
    assert 0 < skipped[16] < 16
    assert skipped == series(one, "skipped_steps")
    assert series(two, "loss_scale") == series(one, "loss_scale")
    assert series(two, "train/loss") == pytest.approx(series(one, "train/loss"), rel=1e-3)


def computed(rank: int, world_size: int, schedule: str) -> list[tuple[str, int]]:
    """What a stage computed, in order: of which micro-batch, and which way."""
    from hydratron.parallel.pipeline import Pipeline

    mesh = build_mesh({"pipeline": world_size, "data": 1, "tensor": 1}, "cpu")
    weight = torch.ones(4, requires_grad=True)
    seen: list[tuple[str, int]] = []

    def work(number: int, received: Tensor | None) -> Tensor:
        seen.append(("forward", number))
        x = weight * (torch.ones(4) if received is None else received)
        x.register_hook(lambda gradient: seen.append(("backward", number)))
        return x

    pipeline = Pipeline(mesh.pipeline, schedule, torch.device("cpu"), torch.float32)
    pipeline.train([partial(work, number) for number in range(4)], (4,))
    return seen


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
def test_a_stage_computes_in_the_order_of_its_schedule(schedule: str) -> None:
    first, last = run_ranks(computed, 2, schedule)
    forward = [("forward", n) for n in range(4)]
    backward = [("backward", n) for n in range(4)]
    turns = [span for pair in zip(forward, backward, strict=True) for span in pair]
    both = {"gpipe": [forward + backward] * 2, "1f1b": [first_in_turns(forward, backward), turns]}
    assert [first, last] == both[schedule]


def first_in_turns(forward: list[Any], backward: list[Any]) -> list[Any]:
    """Of two stages the first: one ahead of the last."""
    turns = [s for pair in zip(backward, forward[2:], strict=False) for s in pair]
    return [*forward[:2], *turns, *backward[2:]]
