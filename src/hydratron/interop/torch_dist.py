"""Megatron-LM's `torch_dist` checkpoints: torch.distributed.checkpoint with a common.pt beside it.

`.metadata` is read as that of our own checkpoints (`checkpoint/trust.py`): nothing in it runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor

from hydratron.checkpoint.manifest import METADATA
from hydratron.checkpoint.trust import TrustedReader
from hydratron.errors import HydratronError
from hydratron.interop import unpickle
from hydratron.interop.own import alone
from hydratron.job import read_json

DECLARED, COMMON = "metadata.json", "common.pt"
# Optimizer, random states and what TransformerEngine keeps beside its parameters.
BESIDE = re.compile(r"(optimizer|rng_state|rerun_state_machine_state)\b.*|.*_extra_state/.*")
STACKED = re.compile(r"(decoder|encoder)\.layers\.([a-z].*)")


def is_torch_dist(folder: Path) -> bool:
    """Whether it declares itself as one."""
    try:
        declared = read_json(folder / DECLARED)
    except (OSError, ValueError):
        return False
    return isinstance(declared, dict) and declared.get("sharded_backend") == "torch_dist"


class Reader(TrustedReader):
    """The tensors of the model; the pickled objects beside them are not looked at."""

    def _rebuilt(self, read: Any) -> Any:
        tensors, places = read["state_dict_metadata"], read["storage_data"]
        for name in [name for name in tensors if BESIDE.fullmatch(str(name))]:
            del tensors[name]
        for index in [index for index in places if index["fqn"] not in tensors]:
            del places[index]
        return super()._rebuilt(read)


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors by core's names, with the number of each layer, and what common.pt says."""
    common = unpickle.read(folder / COMMON)
    if not (folder / METADATA).is_file():
        raise HydratronError(f"{folder}: has no {METADATA}")
    files = {file.name for file in folder.glob("*.distcp")}
    reader = Reader(folder, files)
    found = {name: torch.empty(s.shape, dtype=s.dtype) for name, s in reader.saved().items()}
    if not found:
        raise HydratronError(f"{folder}: has no tensor of a model")
    try:
        planner = dcp.DefaultLoadPlanner(flatten_state_dict=False)
        with alone():
            dcp.load(found, storage_reader=Reader(folder, files), planner=planner)
    except HydratronError:
        raise
    except (Exception, dcp.CheckpointException) as error:  # The latter is a BaseException alone.
        causes = [cause for cause, _ in getattr(error, "failures", {}).values()] or [error]
        text = (str(causes[0]).splitlines() or [type(causes[0]).__name__])[0]
        raise HydratronError(f"{folder}: cut or damaged: {text}") from None
    whole: dict[str, Tensor] = {}
    for name, tensor in found.items():
        match = STACKED.fullmatch(name)
        if match is None:
            whole[name] = tensor
            continue
        for number, layer in enumerate(tensor):  # The layer is the first dimension.
            whole[f"{match[1]}.layers.{number}.{match[2]}"] = layer.clone()
    common.setdefault("checkpoint_version", 3.0)
    return whole, common
