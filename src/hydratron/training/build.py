"""From the configuration to the network and its optimizer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from hydratron.config.schema import Config, OptimConfig
from hydratron.models.language import LanguageModel
from hydratron.parallel.layers import Device
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.regions import TensorParallelRegion
from hydratron.parallel.sharding import ParamTable


def build_network(
    config: Config, vocab_size: int, mesh: Mesh, streams: RandomStreams, device: Device
) -> LanguageModel:
    """The network with empty weights; `vocab_size` is the tokenizer's, before padding."""
    shape, region = config.model.shape(vocab_size), TensorParallelRegion(mesh.tensor)
    return config.learning.task().network(shape, streams, region, device)


def parameter_table(config: Config) -> ParamTable:
    """How the parameters of this network are split, drawn and decayed, whatever its vocabulary."""
    return config.learning.task().parameters(config.model.shape(1), config.model.init_std)


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], table: ParamTable, optim: OptimConfig
) -> torch.optim.Optimizer:
    """Fused AdamW in two groups: what decays, and the biases and LayerNorms, which do not."""
    decayed = [parameter for name, parameter in parameters.items() if table[name].decayed]
    others = [parameter for name, parameter in parameters.items() if not table[name].decayed]
    groups = [
        {"params": decayed, "weight_decay": optim.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    betas = (optim.beta1, optim.beta2)
    return torch.optim.AdamW(groups, lr=optim.lr, betas=betas, eps=optim.eps, fused=True)
