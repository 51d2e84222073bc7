"""A checkpoint's model on the ranks of an open process group, to be read and not trained."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist

from hydratron.checkpoint.folder import load_weights
from hydratron.checkpoint.participants import ModelState
from hydratron.config.schema import Config
from hydratron.models.language import LanguageModel
from hydratron.parallel.mesh import Mesh, build_mesh
from hydratron.parallel.random import RandomStreams
from hydratron.training.build import build_network, parameter_table


class Loaded(NamedTuple):
    """This rank's part of the network, the mesh, and the device that both are on."""

    network: LanguageModel
    mesh: Mesh
    device: torch.device


def loaded(config: Config, checkpoint: Path, vocab_size: int) -> Loaded:
    """The weights of `checkpoint` at the degrees of `config`; `vocab_size` is the tokenizer's.

    Called on every rank.  Raises HydratronError on all of them for a checkpoint that is not whole.
    """
    torch.set_float32_matmul_precision(config.trainer.matmul_precision)
    on_gpu = dist.get_backend() == "nccl"
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
    within = config.trainer.timeout_seconds if config.parallel.transport == "auto" else None
    mesh = build_mesh(config.parallel.axes, device.type, within)
    streams = RandomStreams(config.seed, device, mesh.tensor, mesh.data)
    network = build_network(config, vocab_size, mesh, streams, device).eval()
    load_weights(checkpoint, ModelState(network, parameter_table(config), mesh))
    return Loaded(network, mesh, device)
