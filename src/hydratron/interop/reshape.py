"""A checkpoint of ours, written anew for other degrees.

Any degree reads any checkpoint as it is.  But a tensor that was written whole is read whole by each
rank that wants a slice of it; here every tensor-parallel rank writes its own, so that each rank of
a later run reads little more than its own file.  Replicas hold nothing of their own but the states
of their random streams, which stay those that were saved.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from hydratron.checkpoint import folder as checkpoints
from hydratron.checkpoint.manifest import METADATA, Verified
from hydratron.checkpoint.participant import Saved
from hydratron.checkpoint.participants import view
from hydratron.checkpoint.trust import TrustedReader
from hydratron.config import degrees, load
from hydratron.config.parallel import ParallelConfig
from hydratron.config.schema import Config
from hydratron.config.validate import problems
from hydratron.data.folders import replacing
from hydratron.errors import DataError, HydratronError, JobError, Problem
from hydratron.interop import own
from hydratron.interop.convert import free
from hydratron.job import JobFolder, named_checkpoint, read_json, write_json
from hydratron.launch import forkserver
from hydratron.launch.attempt import failed
from hydratron.launch.history import keep_rows
from hydratron.launch.progress import cause
from hydratron.parallel.mesh import Mesh, build_mesh
from hydratron.parallel.sharding import ParamTable
from hydratron.training.build import parameter_table
from hydratron.training.initial import MODEL

RESHAPED = "hydratron.interop.reshape:reshaped"
ASKED = "asked.json"


@dataclass(frozen=True)
class Outcome:
    """What was written: the labels of both degrees, and the number and bytes of the shards."""

    checkpoint: str
    before: str
    after: str
    shards: int
    bytes: int


def reshape(source: Path, output: Path, parallel: str) -> Outcome:
    """Write the checkpoint of `source` as the job folder `output`, which appears whole or not.

    Everything in it is bitwise as it was, and was read back; its configuration says the new
    degrees.  HydratronError where `source` is no whole checkpoint of ours, or does not split so.
    """
    free(output)
    if (wrong := degrees.problem(parallel)) is not None:
        raise DataError([Problem("--parallel", parallel, wrong)])
    checkpoint = named_checkpoint(source)
    if checkpoint is None:
        expected = "a job folder or checkpoint of hydratron; any degree starts from others as it is"
        raise DataError([Problem("--parallel", source, expected)])
    before = own.config_of(checkpoint)
    sizes: Mapping[str, Any] = degrees.sizes(parallel) or {}
    after = replace(before, parallel=replace(before.parallel, **sizes))
    _check(after)
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as building:
        job = JobFolder(building)
        _run(after, checkpoint, job.checkpoints / checkpoint.name)
        keep_rows(job, checkpoint.resolve())
        load.dump(after, job.config)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        origin = {"converted_from": checkpoint.resolve().parent.parent.name, "format": "hydratron"}
        write_json(job.provenance, {"verb": "convert", "started": started, **origin})
    shards = [*(JobFolder(output).checkpoints / checkpoint.name).glob("*.distcp")]
    total = sum(shard.stat().st_size for shard in shards)
    labels = before.parallel.label, after.parallel.label
    return Outcome(checkpoint.name, *labels, len(shards), total)


def _check(config: Config) -> None:
    """That the model and the batch can be split so; what else is wrong with the job may be."""
    default = Config()
    split = replace(config, data=default.data, launch=default.launch, resume=None, init_from=None)
    found = [p for p in problems(split) if p.key.startswith(("parallel.", "trainer."))]
    if found:
        raise DataError(found)


def _run(config: Config, source: Path, target: Path) -> None:
    """On as many ranks as share a replica: in a temporary job folder, through the one door."""
    default, tensor = Config(), config.parallel.tensor_model_parallel_size
    ranks = replace(
        default,
        model=config.model,
        task=config.task,
        parallel=ParallelConfig(tensor_model_parallel_size=tensor),
        trainer=replace(default.trainer, accelerator="cpu"),
        logger=replace(default.logger, kind="none"),
    )
    with tempfile.TemporaryDirectory(prefix="hydratron-") as temporary:
        folder = JobFolder(Path(temporary) / "reshape")
        asked = {"source": source.resolve(), "target": target.resolve()}
        write_json(folder.path / ASKED, {**asked, "config": load.to_yaml(config)})
        load.dump(ranks, folder.config)
        forkserver.launch(ranks, folder, lambda: None, RESHAPED)
        if read_json(folder.result) is None:
            raise JobError(f"{source}: {cause(failed(folder) | {'log': None})}")


def reshaped(config: Config, folder: JobFolder, resume_from: Verified | None) -> dict[str, Any]:
    """One rank's part, in the open process group."""
    asked = read_json(folder.path / ASKED) or {}
    mesh = build_mesh(config.parallel.axes, "cpu")
    rewrite(
        Path(asked["source"]),
        Path(asked["target"]),
        parameter_table(config),
        mesh,
        asked["config"],
    )
    return {"status": "completed"}


def rewrite(source: Path, target: Path, table: ParamTable, mesh: Mesh, config: str) -> None:
    """Write all of one checkpoint as another from all ranks, and compare what that holds."""
    names = checkpoints.manifest_files(source)
    saved = TrustedReader(source, names).saved()
    prefix = f"{MODEL}/"
    shapes = {
        name.removeprefix(prefix): each.shape
        for name, each in saved.items()
        if name.startswith(prefix)
    }
    participants = json.loads(checkpoints.text_of(source, checkpoints.STATE))["participants"]
    first, again = ({n: Part(shapes, table, mesh) for n in participants} for _ in range(2))
    step = checkpoints.load(source, first)
    written = {checkpoints.STATE, METADATA, *(n for n in names if n.endswith(".distcp"))}
    texts = {name: checkpoints.text_of(source, name) for name in names if name not in written}
    checkpoints.save(target, first, step, texts | {checkpoints.CONFIG: config})
    checkpoints.load(target, again)
    for participant, part in first.items():
        for key, value in part.content.items():
            if not _same(again[participant].content[key], value):
                raise HydratronError(f"{target}: {participant}/{key} is not what was written")


class Part:
    """A participant that keeps whatever was saved: of a split parameter, or of what an optimizer
    keeps for one in its shape, this rank's slice."""

    def __init__(self, shapes: Mapping[str, torch.Size], table: ParamTable, mesh: Mesh) -> None:
        self.shapes, self.table, self.mesh = shapes, table, mesh
        self.content: dict[str, Any] = {}

    def state(self) -> dict[str, Any]:
        return self.content

    def room(self, saved: Mapping[str, Saved]) -> dict[str, Tensor]:
        return {name: self._place(name.rpartition("/")[2], *each) for name, each in saved.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.content = dict(state)

    def _place(self, name: str, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        dim = self._dim(name) if self.shapes.get(name) == shape else None
        if dim is None:
            return torch.empty(shape, dtype=dtype)
        ranks = self.mesh.tensor.size
        local = [n // ranks if i == dim else n for i, n in enumerate(shape)]
        return view(torch.empty(local, dtype=dtype), dim, self.mesh)

    def _dim(self, name: str) -> int | None:
        try:
            return self.table[name].shard_dim
        except KeyError:  # A buffer, which every rank has whole.
            return None


def _same(one: Any, other: Any) -> bool:
    """To the last bit, also of what is no number."""
    if not isinstance(one, Tensor):
        return bool(one == other)
    a, b = (t.to_local() if isinstance(t, DTensor) else t for t in (one, other))
    bits = [t.contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
    return a.dtype == b.dtype and torch.equal(*bits)
