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


def build_network(
    config: Config, vocab_size: int, mesh: Mesh, streams: RandomStreams, device: Device
) -> LanguageModel:
    """This rank's stage of the network, with empty weights; without a pipeline that is all of it.

    `vocab_size` is the tokenizer's, before padding.
    """
    shape = config.model.shape(vocab_size)
    region = region_of(mesh.tensor, config.parallel.sequence_parallel)
    layers = stage_layers(shape.num_layers, mesh.pipeline)
    return config.learning.task().network(shape, streams, region, device, layers)


def parameter_table(config: Config) -> ParamTable:
    """How the parameters of this network are split, drawn and decayed, whatever its vocabulary."""
    shape, std = config.model.shape(1), initial_std(config.model)
    table = config.learning.task().parameters(shape, std)
    if config.parallel.pipeline_model_parallel_size > 1:
        table = table.in_stages()
    return table.in_sequence() if config.parallel.sequence_parallel else table
