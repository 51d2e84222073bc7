"""From the configuration to the network and the table of its parameters."""

from __future__ import annotations

from hydratron.config.rules import initial_std
from hydratron.config.schema import Config
from hydratron.models.language import LanguageModel
from hydratron.parallel.layers import Device
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sequence import region_of
from hydratron.parallel.sharding import ParamTable
from hydratron.training.spmd import spmd_network


def build_network(
    config: Config, vocab_size: int, mesh: Mesh, streams: RandomStreams, device: Device
) -> LanguageModel:
    """The network with empty weights; `vocab_size` is the tokenizer's, before padding."""
    shape = config.model.shape(vocab_size)
    task, group, in_sequence = (
        config.learning.task(),
        mesh.tensor,
        config.parallel.sequence_parallel,
    )
    if config.parallel.spmd:
        table = parameter_table(config)
        return spmd_network(task, shape, table, group, in_sequence, streams, device)
    return task.network(shape, streams, region_of(group, in_sequence), device)


def parameter_table(config: Config) -> ParamTable:
    """How the parameters of this network are split, drawn and decayed, whatever its vocabulary."""
    shape, std = config.model.shape(1), initial_std(config.model)
    table = config.learning.task().parameters(shape, std)
    # DTensor itself sums the gradients of what each rank applies to its own tokens.
    own_tokens = config.parallel.sequence_parallel and not config.parallel.spmd
    return table.in_sequence() if own_tokens else table
