"""What each choice of `optim=` is: torch's own, with weight decay on matrices alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from hydratron.config.optimizers import OPTIMIZERS
from hydratron.config.plan import jobs
from hydratron.config.schema import OptimConfig
from hydratron.parallel.sharding import ParamSpec, ParamTable
from hydratron.training.optimizers import build_optimizer

TORCH: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {"betas": (0.8, 0.9), "eps": 1e-6}),
    "adam": (torch.optim.Adam, {"betas": (0.8, 0.9), "eps": 1e-6}),
    "sgd": (torch.optim.SGD, {"momentum": 0.5}),
}


def _parameters() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    shapes: dict[str, tuple[int, ...]] = {"a.weight": (8, 4), "a.bias": (8,)}
    return {n: nn.Parameter(torch.randn(s, generator=generator)) for n, s in shapes.items()}


def test_every_row_is_held_here() -> None:
    assert OPTIMIZERS.keys() == TORCH.keys()


@pytest.mark.parametrize("name", TORCH)
def test_a_choice_updates_as_torchs_does(name: str) -> None:
    kind, keywords = TORCH[name]
    optim = OptimConfig(name, 0.1, 0.8, 0.9, 1e-6, momentum=0.5, weight_decay=0.3)
    table = ParamTable(ParamSpec("a.weight", decayed=True), ParamSpec("a.bias"))
    ours, theirs = _parameters(), _parameters()
    matrix, bias = theirs.values()
    groups = [{"params": [matrix], "weight_decay": 0.3}, {"params": [bias], "weight_decay": 0.0}]
    optimizers = (
        build_optimizer(ours, table, optim),
        kind(groups, lr=0.1, **keywords),  # type: ignore[call-arg]
    )
    for _ in range(3):
        for optimizer, parameters in zip(optimizers, (ours, theirs), strict=True):
            optimizer.zero_grad()
            sum((p**2).sum() for p in parameters.values()).backward()  # type: ignore[union-attr]
            optimizer.step()
    for mine, other in zip(ours.values(), theirs.values(), strict=True):
        torch.testing.assert_close(mine, other)
    assert not torch.equal(matrix, _parameters()["a.weight"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_file_of_its_name_chooses_it(name: str) -> None:
    assert jobs([f"optim={name}"])[0].config.optim.name == name
