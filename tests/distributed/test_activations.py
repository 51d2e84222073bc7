"""What a layer keeps for backward, counted on real tensors, against the published formulas."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hydratron.models.shape import RECOMPUTED, Shape
from hydratron.models.transformer import TransformerLayer
from hydratron.parallel.mesh import SINGLE, ParallelGroup, build_mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sequence import region_of
from hydratron.planner.internals import tensors
from hydratron.planner.kernels import AcceleratorKernels
from hydratron.planner.memory import MemoryTrace
from tests.helpers.ranks import run_ranks

S, B, H, A = 64, 2, 256, 4
SCORES = 5 * A * S / H
# Bytes of a layer in 16 bits over s b h (Korthikanti et al. 2022, arXiv:2205.05198, Table 2), from
# t; `mlp` leaves out the input and the output of GeLU, 8 each.
TENSOR = {
    "none": lambda t: 10 + 24 / t + SCORES / t,
    "attention": lambda t: 10 + 24 / t,
    "mlp": lambda t: 10 + 8 / t + SCORES / t,
    "layer": lambda t: 2,
}
SEQUENCE = {
    "none": lambda t: (34 + SCORES) / t,
    "attention": lambda t: 34 / t,
    "mlp": lambda t: (18 + SCORES) / t,
    "layer": lambda t: 2 / t,
}


class Living(TorchDispatchMode):
    """Counts the storages that are made while it is active and live on; no states of generators."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryTrace()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tensors(result):
            if tensor.dtype != torch.uint8:
                self.memory.see(tensor)
        return result


def kept(group: ParallelGroup, in_sequence: bool, recompute: str) -> int:
    """Bytes that one layer of two keeps; its input is the output of the one before."""
    shape = Shape(2, H, A, 64, S, dropout=0.1, fused_attention=False, recompute=recompute)
    streams = RandomStreams(1, tensor=group, in_sequence=in_sequence)
    region = region_of(group, in_sequence)
    layer = TransformerLayer(shape, region, streams, True, None).bfloat16()
    torch.nn.init.normal_(next(layer.parameters()))
    x = torch.randn(B, S, H).bfloat16().requires_grad_()
    with AcceleratorKernels():
        x = region.split(x)
        living = Living()
        for tensor in (x, *layer.parameters()):
            living.memory.see(tensor)
        before = len(living.memory.events)
        with living:
            y = streams.recompute(layer, x) if recompute == "layer" else layer(x)
            time.sleep(0.2)  # gloo's own thread lets go of what it reduced a moment later.
            held = sum(event.size for event in living.memory.events[before:])
    assert y.shape == x.shape
    living.memory.close()
    return held


def every(rank: int, world_size: int) -> list[dict[str, int]]:
    group = build_mesh({"tensor": world_size}, "cpu").tensor
    return [{r: kept(group, sequence, r) for r in RECOMPUTED} for sequence in (False, True)]


def test_a_layer_keeps_what_the_formulas_say() -> None:
    alone = {recompute: kept(SINGLE, True, recompute) for recompute in RECOMPUTED}
    found = [(1, TENSOR, alone)]
    for tensor, sequence in run_ranks(every, 2):
        found += [(2, TENSOR, tensor), (2, SEQUENCE, sequence)]
    for ranks, formulas, held in found:
        for recompute, formula in formulas.items():
            # Besides, means and variances, and which tokens are later ones.
            expected = pytest.approx(S * B * H * formula(ranks), rel=0.02)
            assert held[recompute] == expected, (ranks, formulas is SEQUENCE, recompute)
