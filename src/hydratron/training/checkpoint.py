"""Checkpoint folders that any parallel degree can read: torch.distributed.checkpoint of DTensors.

    step_00000200/  *.distcp, .metadata   parameters, AdamW moments, random states
                    state.json            step, seconds and what else is not a tensor
                    config.yaml           the job's configuration
                    manifest.json         size and sha256 of every file above

All files are written to a hidden folder beside it, which is renamed when they are complete; a load
believes only files that the manifest vouches for.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.optim import Optimizer

from hydratron.errors import HydratronError
from hydratron.hashing import file_sha256
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.sharding import ParamTable

MOMENTS = ("exp_avg", "exp_avg_sq")


def view(tensor: Tensor, shard_dim: int | None, mesh: Mesh) -> DTensor:
    """A DTensor over this rank's part: it shares the memory and knows its place in the whole."""
    placement = Replicate() if shard_dim is None else Shard(shard_dim)
    return DTensor.from_local(
        tensor.detach(), mesh.device_mesh, [Replicate(), placement], run_check=False
    )


def parameter_views(network: nn.Module, table: ParamTable, mesh: Mesh) -> dict[str, DTensor]:
    """Name -> view of every parameter."""
    named = network.named_parameters()
    return {name: view(p, table[name].shard_dim, mesh) for name, p in named}


def moment_views(
    network: nn.Module, optimizer: Optimizer, table: ParamTable, mesh: Mesh
) -> dict[str, DTensor]:
    """`exp_avg/NAME` and `exp_avg_sq/NAME` -> view, made as zeros before the first step."""
    views = {}
    for name, parameter in network.named_parameters():
        state = optimizer.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state.update({moment: torch.zeros_like(parameter) for moment in MOMENTS})
        for moment in MOMENTS:
            views[f"{moment}/{name}"] = view(state[moment], table[name].shard_dim, mesh)
    return views


def set_optimizer_step(optimizer: Optimizer, step: int) -> None:
    """Tell AdamW how many updates its moments have seen (bias correction)."""
    for state in optimizer.state.values():
        state["step"].fill_(step)


def save(path: Path, tensors: dict[str, Any], state: dict[str, Any], config: str) -> None:
    """Write the folder `path` from all ranks; it appears whole, or not at all.

    `state` must be JSON; `config` is the text of config.yaml.
    """
    first = dist.get_rank() == 0
    partial = path.with_name(f".{path.name}.partial")
    if first:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    dist.barrier()
    dcp.save(tensors, storage_writer=dcp.FileSystemWriter(partial))
    if first:
        (partial / "state.json").write_text(json.dumps(state, indent=2) + "\n")
        (partial / "config.yaml").write_text(config)
        files = {file.name: _fingerprint(file) for file in sorted(partial.iterdir())}
        (partial / "manifest.json").write_text(json.dumps({"files": files}, indent=2) + "\n")
        remove(path)
        os.replace(partial, path)
    dist.barrier()


def load(path: Path, tensors: dict[str, Any], optional: dict[str, Tensor]) -> dict[str, Any]:
    """Fill `tensors` in place from all ranks, and those of `optional` that were saved.

    Returns the content of state.json.  Raises HydratronError when a file is missing or is not the
    one that was written.
    """
    verify(path)
    reader = dcp.FileSystemReader(path)
    saved = reader.read_metadata().state_dict_metadata
    found = {name: tensor for name, tensor in optional.items() if name in saved}
    dcp.load(tensors | found, storage_reader=reader)
    state: dict[str, Any] = json.loads((path / "state.json").read_text())
    return state | {"found": sorted(found)}


def verify(path: Path) -> None:
    """Raise HydratronError unless every file is the one that the manifest names."""
    try:
        manifest = json.loads((path / "manifest.json").read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise HydratronError(f"{path}: not a whole checkpoint, manifest.json: {error}") from None
    for name, expected in manifest.items():
        file = path / name
        if not file.is_file() or _fingerprint(file) != expected:
            raise HydratronError(f"{file}: missing or changed since the checkpoint was written")


def remove(path: Path) -> None:
    """Delete a checkpoint; renamed first, so that a part of it never looks whole."""
    if path.exists():
        gone = path.with_name(f".{path.name}.removed")
        shutil.rmtree(gone, ignore_errors=True)
        os.replace(path, gone)
        shutil.rmtree(gone)


def _fingerprint(file: Path) -> dict[str, Any]:
    return {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
