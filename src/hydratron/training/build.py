"""From the configuration to the network and the table of its parameters."""

from __future__ import annotations

from hydratron.config.rules import initial_std
from hydratron.config.schema import Config
from hydratron.models.language import LanguageModel
from hydratron.parallel.layers import Device
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sequence import region_of
from hydratron.parallel.sharding import ParamTable, stage_layers
from hydratron.training.spmd import spmd_network


def build_network(
    config: Config, vocab_size: int, mesh: Mesh, streams: RandomStreams, device: Device
) -> LanguageModel:
    """This rank's stage of the network, with empty weights; without a pipeline that is all of it.

    `vocab_size` is the tokenizer's, before padding.
    """
    shape = config.model.shape(vocab_size)
    task, in_sequence = config.learning.task(), config.parallel.sequence_parallel
    if config.parallel.spmd:
        table = parameter_table(config)
        return spmd_network(task, shape, table, mesh.tensor, in_sequence, streams, device)
    layers = stage_layers(shape.num_layers, mesh.pipeline)
    return task.network(shape, streams, region_of(mesh.tensor, in_sequence), device, layers)


def parameter_table(config: Config) -> ParamTable:
    """How the parameters of this network are split, drawn and decayed, whatever its vocabulary."""
    shape, std = config.model.shape(1), initial_std(config.model)
    table = config.learning.task().parameters(shape, std)
    if config.parallel.pipeline_model_parallel_size > 1:
        table = table.in_stages()
    # DTensor itself sums the gradients of what each rank applies to its own tokens.
    own_tokens = config.parallel.sequence_parallel and not config.parallel.spmd
    return table.in_sequence() if own_tokens else table
