"""Where a job goes on from, and which rows of its metrics stay true."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hydratron.checkpoint.choice import newest_whole, set_aside, strays, sweep
from hydratron.checkpoint.manifest import (
    CONFIG,
    Verified,
    config_text,
    manifest_files,
    read_manifest,
    verify,
)
from hydratron.config.identity import identity
from hydratron.config.load import read
from hydratron.config.schema import Config
from hydratron.errors import HydratronError, JobError
from hydratron.job import JobFolder, checkpoint_step, named_checkpoint, write_text

TAIL_BYTES = 8192


def starting_point(config: Config, folder: JobFolder) -> Path | None:
    """The job's own newest checkpoint, else the one that `resume` names, else None.

    Whether it is whole, the ranks find out together: see `candidates`.
    """
    return next(iter(candidates(config, folder)), None)


def candidates(config: Config, folder: JobFolder) -> list[Path]:
    """The job's own checkpoints, newest first; without any those that `resume` names.

    Raises JobError when `resume` names neither a checkpoint nor a job folder with one.
    """
    own = folder.checkpoints_newest_first()
    if own or config.resume is None:
        return own
    named = named_checkpoint(Path(config.resume))
    if named is None:
        raise JobError(f"resume={config.resume}: a checkpoint folder, or a job folder that has one")
    if named == Path(config.resume):  # Asked for by name: no other will do.
        try:
            read_manifest(named)
        except HydratronError as error:
            raise JobError(f"resume={config.resume}: {error}") from None
        return [named]
    return JobFolder(Path(config.resume)).checkpoints_newest_first()


def choose(config: Config, folder: JobFolder) -> tuple[Verified | None, list[str]]:
    """On all ranks: the newest of the candidates that is whole, and what was passed over.

    Every rank reads its share of the files.  In the job's own folder what is damaged loses its
    name, and what a kill has left is deleted.  Raises HydratronError when none is whole.
    """
    import torch.distributed as dist

    rank, ranks = dist.get_rank(), dist.get_world_size()
    # The first rank's view: a shared file system may show others another.
    found: list[Any] = [candidates(config, folder) if rank == 0 else None]
    dist.broadcast_object_list(found)
    names: dict[Path, Collection[str]] = {}

    def why_not(path: Path) -> str | None:
        reason = None
        try:
            names[path] = verify(path, rank, ranks)
        except (HydratronError, OSError) as error:
            reason = str(error)
        reasons: list[str | None] = [None] * ranks
        dist.all_gather_object(reasons, reason)
        return next((each for each in reasons if each), None)

    start, passed = newest_whole(found[0], why_not)
    if rank == 0:
        sweep(folder)
        passed = [f"passed over: {path}: no checkpoint" for path in strays(folder)] + passed
        for path in found[0]:
            if path == start:
                break
            if path.parent == folder.checkpoints:
                set_aside(path)
    return None if start is None else Verified(start, tuple(names[start])), passed


def unchanged(config: Config, folder: JobFolder, start: Path | None) -> None:
    """Raise JobError where the job's own checkpoint was written under another configuration.

    The launcher has compared the command with config.yaml; here it is the file that may have been
    edited.  What is no part of the job (folders, logging, processes) may differ.
    """
    if start is None or start.parent != folder.checkpoints or CONFIG not in manifest_files(start):
        return
    old, new = identity(read(config_text(start), start / CONFIG)), identity(config)
    changed = [f"{key}: {old[key]} -> {new[key]}" for key in old if old[key] != new.get(key)]
    if changed:
        advice = "undo that, or name the checkpoint by resume= in another folder"
        raise JobError(f"{folder.config}: edited since {start.name} ({changed[0]}); {advice}")


def keep_rows(folder: JobFolder, start: Path | None) -> None:
    """Make metrics.jsonl end at the step of `start`, with its job's rows; without one, remove it.

    A row cut short by a kill is dropped.
    """
    if start is None:
        folder.metrics.unlink(missing_ok=True)
        return
    source = JobFolder(start.parent.parent).metrics
    lines = source.read_text(encoding="utf-8").splitlines() if source.exists() else []
    last = checkpoint_step(start)
    kept = [line for line in lines if _step(line) <= last]
    write_text(folder.metrics, "".join(f"{line}\n" for line in kept))


def last_row(folder: JobFolder) -> dict[str, Any]:
    """The newest value of each key in the last few rows of metrics.jsonl, whole rows only."""
    try:
        with folder.metrics.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    merged: dict[str, Any] = {}
    for line in lines:
        merged |= _row(line)
    return merged


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _step(line: str) -> float:
    return float(_row(line).get("step", "inf"))
