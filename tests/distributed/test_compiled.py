"""Compiled layers of tensor-parallel ranks: their collectives stay outside of what is compiled."""

from __future__ import annotations

import warnings

import pytest
import torch

from hydratron.parallel.mesh import build_mesh
from hydratron.parallel.sequence import region_of
from hydratron.training.compiled import compile_layers
from tests.helpers.compilers import BACKENDS
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import tiny_batch, tiny_gpt


def largest_difference(rank: int, world_size: int, in_sequence: bool, backend: str) -> float:
    """Of any gradient of this rank's, by compiled layers or not, through shared memory."""
    warnings.simplefilter("ignore")
    mesh = build_mesh({"data": 1, "tensor": world_size}, "cpu", share_within=30.0)
    found = []
    for compiled in (False, True):
        network = tiny_gpt(mesh.tensor, region=region_of(mesh.tensor, in_sequence))
        if compiled:
            compile_layers(network, backend)
        network.loss(*tiny_batch()).backward()
        found.append({name: p.grad for name, p in network.named_parameters()})
    eager, by_compiler = found
    return max(float(torch.dist(eager[n], by_compiler[n])) for n in eager)  # type: ignore[arg-type]


@pytest.mark.parametrize("in_sequence", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_their_gradients_are_those_of_eager_ones(in_sequence: bool, backend: str) -> None:
    timeout = 120 if backend == "eager" else 300
    assert max(run_ranks(largest_difference, 2, in_sequence, backend, timeout=timeout)) < 1e-5
