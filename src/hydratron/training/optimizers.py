"""From `optim=` to torch's optimizer over a network's parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from hydratron.config.optimizers import OPTIMIZERS
from hydratron.config.schema import OptimConfig
from hydratron.parallel.sharding import ParamTable


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], table: ParamTable, optim: OptimConfig
) -> torch.optim.Optimizer:
    """The chosen one in two groups: what decays, and the biases and LayerNorms, which do not."""
    decayed = [parameter for name, parameter in parameters.items() if table[name].decayed]
    others = [parameter for name, parameter in parameters.items() if not table[name].decayed]
    groups = [
        {"params": decayed, "weight_decay": optim.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    row = OPTIMIZERS[optim.name]
    optimizer: torch.optim.Optimizer = getattr(torch.optim, row.kind)(
        groups, lr=optim.lr, **row.arguments(optim)
    )
    return optimizer
