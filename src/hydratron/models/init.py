"""Initial weights that are the same for every tensor-parallel degree and device.

Every rank draws the whole matrix on the CPU, from a generator seeded by the seed and the name of
the parameter, and keeps its own part.  Neither the order of the parameters nor the padding of the
vocabulary changes what is drawn.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hydratron.parallel.mesh import ParallelGroup
from hydratron.parallel.random import derived_seed
from hydratron.parallel.sharding import ParamSpec, ParamTable, full_shape, shard


@torch.no_grad()
def initialize(
    model: nn.Module, table: ParamTable, seed: int, group: ParallelGroup, vocab_size: int
) -> None:
    """Fill every parameter in place; `vocab_size` is the one before padding."""
    for name, parameter in model.named_parameters():
        spec = table[name]
        if not spec.std:
            parameter.fill_(spec.mean)
            continue
        shape = full_shape(parameter.shape, spec.shard_dim, group)
        full = draw(name, spec, shape, seed, vocab_size)
        parameter.copy_(shard(full, spec.shard_dim, group))


def draw(name: str, spec: ParamSpec, shape: list[int], seed: int, vocab_size: int) -> Tensor:
    """The whole initial value of one parameter, fp32 on the CPU.

    Rows of the real vocabulary are drawn before those of the padding, from the same generator.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, name))
    full = torch.empty(shape)
    rows = vocab_size if spec.vocab else shape[0]
    for part in (full[:rows], full[rows:]):
        part.normal_(spec.mean, spec.std, generator=generator)
    if spec.row_scales:
        scales = torch.tensor(spec.row_scales).repeat(shape[0] // len(spec.row_scales))
        full *= scales.unsqueeze(-1)
    return full


def with_rows(tensor: Tensor, rows: int, vocab_size: int) -> Tensor:
    """A vocabulary [n, ...] cut or filled to `rows`, of which the first `vocab_size` are real.

    A new row of padding is the mean of the real ones.  Zeros would be a logit of 0, above all real
    ones of a trained GPT-2; the mean adds at most its share of the rows to the sum of a softmax, by
    Jensen's inequality.
    """
    if len(tensor) >= rows:
        return tensor[:rows]
    mean = tensor[:vocab_size].double().mean(dim=0, keepdim=True).to(tensor.dtype)
    return torch.cat([tensor, mean.expand(rows - len(tensor), *tensor.shape[1:])])
