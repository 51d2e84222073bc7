"""A small GPT for tests, and what a real optimizer step of it would see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hydratron.models.gpt import GPTModel, gpt_parameters
from hydratron.models.init import initialize
from hydratron.models.shape import Shape
from hydratron.parallel.gradients import squared_norm
from hydratron.parallel.mesh import SINGLE, Mesh, ParallelGroup
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.regions import Region, TensorParallelRegion
from hydratron.parallel.sharding import ParamTable

LAYERS, HIDDEN, HEADS, SEQ, VOCAB = 2, 16, 4, 8, 50
# What the tiny GPT and the tiny BERT have in common; their vocabulary of 50 is padded to 64.
TINY = Shape(LAYERS, HIDDEN, HEADS, padded_vocab_size=64, seq_length=SEQ)
TABLE = gpt_parameters(TINY, init_std=0.2)


def tiny_gpt(
    group: ParallelGroup = SINGLE, seed: int = 1, region: Region | None = None, **changes: Any
) -> GPTModel:
    """An initialised model of two layers; changes are those of its shape."""
    shape = replace(TINY, **changes)
    streams = RandomStreams(seed, tensor=group)
    model = GPTModel(shape, streams, region or TensorParallelRegion(group))
    initialize(model, gpt_parameters(shape, 0.2), seed, group, VOCAB)
    return model


def unshard(parts: list[Tensor], dim: int | None) -> Tensor:
    """The whole tensor from the parts of all ranks; the inverse of `shard`."""
    return parts[0] if dim is None else torch.cat(parts, dim=dim)


def whole_norm(gradients: dict[str, Tensor], table: ParamTable, mesh: Mesh) -> Tensor:
    """The 2-norm of the gradient of which each rank of one replica holds its part, fp32."""
    squared = squared_norm(gradients, table, mesh, torch.device("cpu"))
    return mesh.tensor.all_reduce(squared).sqrt().float()


def tiny_batch(samples: int = 3) -> tuple[Tensor, Tensor]:
    """Random tokens and targets [samples, SEQ], always the same."""
    generator = torch.Generator().manual_seed(5)
    batch = torch.randint(0, VOCAB, (samples, SEQ + 1), generator=generator)
    return batch[:, :-1], batch[:, 1:]
