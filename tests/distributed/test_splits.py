"""Every way to split at every degree: the run of one process, loss by loss."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from hydratron.config.schema import Config
from hydratron.job import JobFolder
from hydratron.launch.environment import one_host
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.sharding import ParamTable
from tests.helpers.prepared import sentences_prepared, synthetic_prepared
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import unshard
from tests.helpers.training import Rows, series, small_training


class Cell(NamedTuple):
    architecture: str
    placement: str
    tp: int
    dp: int
    sequence: bool
    zero: bool
    pp: int = 1
    schedule: str = "gpipe"
    steps: int = 50

    @property
    def world(self) -> int:
        return self.tp * self.dp * self.pp

    def __str__(self) -> str:
        ways = "_sequence" * self.sequence + "_zero" * self.zero
        ways = f"_pp{self.pp}_{self.schedule}" * (self.pp > 1) + ways
        name = f"{self.architecture}-{self.placement}-tp{self.tp}_dp{self.dp}{ways}"
        return f"{name}-{self.steps}"


# Every placement, architecture and way once, in short.
CHOSEN = [
    Cell("gpt", "post", 2, 2, True, True, steps=10),
    Cell("bert", "pre", 2, 1, True, False, 2, "1f1b", steps=10),
    Cell("gpt", "pre", 1, 2, False, True, 2, "gpipe", steps=10),
]
# Both schedules for either architecture and placement.
SCHEDULES = {("gpt", "pre"): "gpipe", ("bert", "post"): "gpipe"}


def cells() -> list[Any]:
    found = [pytest.param(cell, id=str(cell)) for cell in CHOSEN]
    degrees, either = (1, 2), (False, True)
    for ways in product(
        ("gpt", "bert"), ("pre", "post"), degrees, degrees, either, either, degrees
    ):
        cell = Cell(*ways)
        cell = cell._replace(schedule=SCHEDULES.get(cell[:2], "1f1b"))
        # Without any they are other tests'; where there is nothing to split they are the same.
        split = (cell.tp > 1 or not cell.sequence) and (cell.dp > 1 or not cell.zero)
        if split and cell.world <= 4 and (cell.sequence or cell.zero or cell.pp > 1):
            found.append(pytest.param(cell, marks=pytest.mark.whole, id=str(cell)))
    return found


def trained(rank: int, world_size: int, config: Config, folder: Path) -> dict[str, Tensor]:
    """The whole gradients of the first step, before they are clipped; the rest is in `folder`."""
    from hydratron.parallel.gradients import squared_norm
    from hydratron.training.train import train

    os.environ.update(one_host(rank, world_size))
    seen: dict[str, Tensor] = {}

    def watched(gradients: dict[str, Tensor], table: ParamTable, mesh: Mesh, *more: Any) -> Tensor:
        if not seen:
            for name, gradient in gradients.items():
                dim = table[name].shard_dim
                parts = mesh.tensor.all_gather(gradient.clone())
                seen[name] = unshard(parts, dim if mesh.tensor.size > 1 else None)
        return squared_norm(gradients, table, mesh, *more)

    with patch("hydratron.training.step.squared_norm", watched):
        train(config, JobFolder(folder), None)
    return seen


def run(folder: Path, data: Path, cell: Cell) -> tuple[Rows, list[dict[str, Tensor]]]:
    folder.mkdir()
    stages = {"pipeline_model_parallel_size": cell.pp, "pipeline_schedule": cell.schedule}
    config = small_training(
        data,
        cell.tp,
        cell.dp,
        model__architecture=cell.architecture,
        model__layernorm={"placement": cell.placement},
        model__seq_length=32,
        parallel__sequence_parallel=cell.sequence,
        parallel__distributed_optimizer=cell.zero,
        trainer__max_steps=cell.steps,
        trainer__val_every_n_steps=cell.steps,
        trainer__micro_batch_size=4 // cell.pp,
        checkpoint__at_end=False,
        **{f"parallel__{name}": value for name, value in stages.items()},
    )
    gradients = run_ranks(trained, cell.world, config, folder, timeout=180)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], gradients


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    gpt = synthetic_prepared(folder / "gpt", 60)
    return {"gpt": gpt, "bert": sentences_prepared(folder / "bert")}


@pytest.fixture(scope="module")
def alone() -> dict[Cell, tuple[Rows, list[dict[str, Tensor]]]]:
    """What one process finds, by what it trains."""
    return {}


@pytest.mark.parametrize("cell", cells())
def test_every_way_is_the_run_of_one_process(
    cell: Cell, data: dict[str, Path], alone: dict[Cell, Any], tmp_path: Path
) -> None:
    tokens = data[cell.architecture]
    one = cell._replace(tp=1, dp=1, sequence=False, zero=False, pp=1, schedule="gpipe")
    if one not in alone:
        alone[one] = run(tmp_path / "one", tokens, one)
    expected, (whole,) = alone[one]
    rows, ranks = run(tmp_path / "split", tokens, cell)
    for metric in ("train/loss", "grad_norm", "val/loss"):
        wanted = series(expected, metric)
        assert wanted
        assert series(rows, metric) == pytest.approx(wanted, rel=1e-5, abs=0), metric
    assert {name for gradients in ranks for name in gradients} == whole.keys()
    for gradients in ranks:
        assert cell.pp > 1 or gradients.keys() == whole.keys()
        for name, gradient in gradients.items():
            error = torch.linalg.vector_norm(gradient - whole[name])
            assert error <= 1e-5 * torch.linalg.vector_norm(whole[name]), name
