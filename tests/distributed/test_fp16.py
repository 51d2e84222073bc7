"""trainer.precision=fp16 on real ranks: an overflow on one of them is skipped by all."""

from __future__ import annotations

import json
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from hydratron.config.schema import Config
from hydratron.tasks.causal import Causal
from tests.helpers.prepared import synthetic_prepared
from tests.helpers.ranks import run_ranks
from tests.helpers.training import run, series, small_training, train_rank

STEPS, SKIPPED, CUT = 10, 5, 7
OPTIONS: dict[str, Any] = {
    "trainer__max_steps": STEPS,
    "trainer__precision": "fp16",
    # It doubles after the steps 4 and, since the fifth is skipped, 9.
    "trainer__loss_scale": {"initial": 256.0, "window": 4, "hysteresis": 1},
    "checkpoint__every_n_steps": CUT,
    "checkpoint__keep": 2,
}
SAID = f"FAULT kind=NotFinite rank=1 step={SKIPPED} samples=32-39 action=skipped, the gradient"
SCALES = [*[256.0] * 3, 512, *[256] * 4, *[512] * 2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_prepared(tmp_path_factory.mktemp("data") / "small", 60)


class Overflowing(Causal):
    """On the last rank a gradient of step SKIPPED is inf, and its parameters are looked at."""

    def __init__(self, last: bool, micro_batches: int) -> None:
        self.last, self.micro_batches, self.seen = last, micro_batches, 0
        self.kept: dict[int, list[Tensor]] = {}
        self.hooks: list[Any] = []

    def sums(self, network: Any, batch: Any) -> Tensor:
        losses = super().sums(network, batch)
        if torch.is_grad_enabled():
            step, later = divmod(self.seen, self.micro_batches)
            while self.hooks:
                self.hooks.pop().remove()
            if not later:
                self.kept[step + 1] = [p.detach().clone() for p in network.parameters()]
            if (step + 1, later, self.last) == (SKIPPED, 0, True):
                weight = network.word_embeddings.weight
                self.hooks.append(weight.register_hook(lambda grad: grad * float("inf")))
            self.seen += 1
        return losses


def overflowing_rank(
    rank: int, world_size: int, config: Config, folder: Path, resume: Path | None
) -> tuple[dict[str, Any], list[int], str]:
    """The result, the steps that left every parameter of this rank as it was, and what it said."""
    task = Overflowing(rank == world_size - 1, config.accumulation)
    said = StringIO()
    with patch("hydratron.tasks.table.Row.task", lambda row: task), redirect_stderr(said):
        result = train_rank(rank, world_size, config, folder, resume)
    same = [
        step
        for step in range(1, STEPS)
        if all(map(torch.equal, task.kept[step], task.kept[step + 1]))
    ]
    return result, same, said.getvalue()


def overflowing(folder: Path, data: Path, tp: int = 1, dp: int = 1) -> Any:
    """Rows and results of a run whose step SKIPPED overflows on the last rank alone."""
    folder.mkdir()
    config = small_training(data, tp, dp, **OPTIONS)
    results = run_ranks(overflowing_rank, tp * dp, config, folder, None, timeout=120)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], results


@pytest.fixture(scope="module")
def one(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("runs") / "one"
    return overflowing(folder, data), folder


@pytest.mark.fault(36)
def test_an_overflow_skips_the_update_alone(one: Any, data: Path, tmp_path: Path) -> None:
    (rows, [(result, same, said)]), _ = one
    assert "rank=0 step=5" in said
    assert same == [SKIPPED]
    assert (result["status"], result["step"], result["skipped_steps"]) == ("completed", STEPS, 1)
    assert list(series(rows, "loss_scale").values()) == SCALES
    # The schedule counts updates, not steps: the sixth step has the rate of the fifth.
    plain, _ = run(tmp_path / "fp32", data, **{**OPTIONS, "trainer__precision": "fp32"})
    rates, expected = series(rows, "lr"), series(plain, "lr")
    assert [rates[step] for step in range(SKIPPED + 1, STEPS + 1)] == [
        expected[step - 1] for step in range(SKIPPED + 1, STEPS + 1)
    ]
    losses, wanted = series(rows, "train/loss"), series(plain, "train/loss")
    assert [losses[s] for s in range(1, SKIPPED + 1)] == pytest.approx(
        [wanted[s] for s in range(1, SKIPPED + 1)], rel=2e-3
    )
    assert losses == pytest.approx(wanted, rel=0.05)
    assert "loss_scale" not in plain[0]


@pytest.mark.fault(36, 38)
@pytest.mark.parametrize(("tp", "dp"), [(2, 1), (1, 2)])
def test_all_ranks_skip_what_overflowed_on_one(
    tp: int, dp: int, one: Any, data: Path, tmp_path: Path
) -> None:
    (expected, _), _ = one
    rows, results = overflowing(tmp_path / "job", data, tp, dp)
    assert [same for _, same, _ in results] == [[SKIPPED]] * 2
    said = [text.startswith(SAID) for _, _, text in results]
    assert said == [True, False]
    for key in ("loss_scale", "skipped_steps", "lr"):
        assert series(rows, key) == series(expected, key)
    assert series(rows, "train/loss") == pytest.approx(series(expected, "train/loss"), rel=2e-3)


def test_it_goes_on_in_the_middle_of_an_interval(one: Any, data: Path, tmp_path: Path) -> None:
    (expected, _), folder = one
    start = folder / "checkpoints" / f"step_{CUT:08d}"
    rows, _ = run(tmp_path / "job", data, resume=start, **OPTIONS)
    for key in ("train/loss", "grad_norm", "loss_scale", "skipped_steps", "lr", "val/loss"):
        wanted = {step: value for step, value in series(expected, key).items() if step > CUT}
        assert series(rows, key) == wanted, key
