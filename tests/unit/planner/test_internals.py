"""What the planner needs of torch beyond its promises, one sentence for each that is gone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hydratron.parallel.pipeline import Pipeline
from hydratron.planner.fake_group import fake_mesh
from hydratron.planner.internals import (
    FLASH,
    FLASH_BACKWARD,
    FakeTensorMode,
    ToldStage,
    TorchDispatchMode,
    backward_node,
    in_backward,
    kept_by,
    storage_of,
    tensors,
)

TRIED = "planner/internals.py was tried with torch 2.13.0; this torch has changed: "


def test_tensors_without_data() -> None:
    with FakeTensorMode():
        product = torch.ones(2**20, 2**20) @ torch.ones(2**20, 3)
    assert product.shape == (2**20, 3), TRIED + "FakeTensorMode computes shapes alone"


def test_what_autograd_is_at() -> None:
    seen = []
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda grad: seen.append((in_backward(), backward_node())))
    assert not in_backward(), TRIED + "_current_graph_task_id is -1 outside of backward"
    y.sum().backward()
    assert seen[0][0], TRIED + "_current_graph_task_id is set in backward"
    assert seen[0][1] is not None, TRIED + "_current_autograd_node is the node at work"
    assert backward_node() is None, TRIED + "_current_autograd_node is None outside of backward"


def test_every_call_below_autograd_is_seen() -> None:
    names = []

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            names.append(function.overloadpacket.__name__)
            return function(*args, **(kwargs or {}))

    with Seen():
        torch.ones(2, 2) @ torch.ones(2, 2)
    assert "mm" in names, TRIED + "TorchDispatchMode sees a matrix product as mm"


def test_views_share_a_storage_and_its_number() -> None:
    x, y = torch.ones(4), torch.ones(4)
    assert storage_of(x) == storage_of(x[1:]), TRIED + "_cdata tells a storage"
    assert storage_of(x) != storage_of(y), TRIED + "_cdata tells storages apart"
    assert len(tensors({"a": [x, (y, 3)]})) == 2, TRIED + "tree_leaves walks nested containers"


def test_fused_attention_on_no_gpu() -> None:
    q = torch.ones(1, 1, 4, 8)
    result = FLASH.default(q, q, q, 0.0, True)
    assert result[0].shape == q.shape, TRIED + "flash attention for the CPU gives its output first"
    assert FLASH_BACKWARD.default, TRIED + "its backward is gone"


def test_a_stage_is_told_and_says_what_it_keeps() -> None:
    with fake_mesh({"pipeline": 2, "data": 1, "tensor": 1}, stage=1) as mesh, FakeTensorMode():
        made: list[ToldStage] = []

        def make(*given: Any, **named: Any) -> ToldStage:
            made.append(ToldStage(*given, **named))
            return made[-1]

        cpu = torch.device("cpu")
        pipeline = Pipeline(mesh.pipeline, "gpipe", cpu, torch.float32, make)

        def loss(received: Tensor | None) -> Tensor:
            assert received is not None
            return received.sum().unsqueeze(0)

        pipeline.train([loss] * 3, (2, 5))
        kept = [tuple(tensor.shape) for tensor in kept_by(made[0])]
    assert kept == [(2, 5)] * 3, TRIED + "PipelineStage asks by _warmup_*, keeps *_recv_info"
