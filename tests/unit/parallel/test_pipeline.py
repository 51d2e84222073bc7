"""A stage by itself, whose neighbours send nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hydratron.errors import HydratronError
from hydratron.parallel.pipeline import Pipeline
from hydratron.parallel.sharding import stage_layers
from hydratron.planner.fake_group import fake_mesh
from hydratron.planner.internals import FakeTensorMode, ToldStage

SIZES = {"pipeline": 3, "data": 2, "tensor": 1}


def broken(received: Tensor | None) -> Tensor:
    raise HydratronError("on purpose")


@pytest.mark.parametrize("trains", [True, False])
def test_what_a_stage_raises_comes_as_it_is(trains: bool) -> None:
    with fake_mesh(SIZES) as mesh, FakeTensorMode():
        cpu = torch.device("cpu")
        pipeline = Pipeline(mesh.pipeline, "gpipe", cpu, torch.float32, ToldStage)
        run = pipeline.train if trains else pipeline.forward
        with pytest.raises(HydratronError, match=r"^on purpose$"):
            run([broken] * 2, (2, 5))


def test_stages_have_runs_of_layers_and_both_ends_a_group() -> None:
    layers, ends = [], []
    for stage in range(3):
        with fake_mesh(SIZES, stage) as mesh:
            layers.append([*stage_layers(6, mesh.pipeline)])
            ends.append((mesh.ends.rank, mesh.ends.size))
            assert mesh.device_mesh is not None
            assert mesh.device_mesh.mesh.tolist() == [[2 * stage], [2 * stage + 1]]
            with pytest.raises(ValueError, match="7 layers do not divide by 3 stages"):
                stage_layers(7, mesh.pipeline)
    assert layers == [[0, 1], [2, 3], [4, 5]]
    assert ends == [(0, 2), (0, 1), (1, 2)]
