"""Checkpoint folders that any parallel degree can read: torch.distributed.checkpoint of DTensors.

    step_00000200/  *.distcp, .metadata        every tensor of every participant
                    state.json                 version, step, and what is not a tensor
                    config.yaml and the like   texts: the job's configuration, its tokenizer
                    manifest.json              size and sha256 of every file above

All files are written to a hidden folder beside it, which is renamed when they are on the disk; a
load believes only files that the manifest vouches for.
"""

from __future__ import annotations

import errno
import json
import shutil
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor

from hydratron.checkpoint.manifest import (
    CONFIG,
    MANIFEST,
    METADATA,
    STATE,
    Verified,
    config_text,
    fingerprint,
    flush,
    manifest_files,
    remove,
    replace,
    state_of,
    text_of,
    verify,
    write,
)
from hydratron.checkpoint.participant import Divided, MakesRoom, Participant, Saved
from hydratron.checkpoint.trust import TrustedReader, TrustedWriter
from hydratron.errors import HydratronError
from hydratron.job import CHECKPOINT_NAME, checkpoint_step

__all__ = [
    "CONFIG", "MANIFEST", "STATE", "config_text", "load", "load_weights", "manifest_files",
    "remove", "save", "text_of", "verify",
]  # fmt: skip

VERSION = 2
# What no disk has room for, by the error's number.
FULL = {
    errno.ENOSPC: "disk full",
    errno.EDQUOT: "disk full: the quota is used up",
    errno.EFBIG: "disk full: a file may not grow so large here",
}


def save(
    path: Path, participants: Mapping[str, Participant], step: int, texts: Mapping[str, str]
) -> None:
    """Write the folder `path` from all ranks; it appears whole, or not at all.

    `texts` are written as files of these names.  What fails on one rank raises on all.
    """
    rank = dist.get_rank()
    partial = path.with_name(f".{path.name}.partial")
    try:
        with _together(path):
            tensors, plain = _collect(participants)
            if rank == 0:
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
        with _together(path):
            planner = dcp.DefaultSavePlanner(flatten_state_dict=False)
            writer = TrustedWriter(partial)
            dcp.save(tensors, storage_writer=writer, planner=planner)
        files = {name: each for prints in _gathered(writer.prints) for name, each in prints.items()}
        with _together(path):
            if rank == 0:
                state = {"version": VERSION, "step": step, "participants": plain}
                for name, text in {**texts, STATE: json.dumps(state, indent=2) + "\n"}.items():
                    write(partial / name, text)
                    files[name] = fingerprint(partial / name)
                files[METADATA] = fingerprint(partial / METADATA)
                write(partial / MANIFEST, json.dumps({"files": files}, indent=2) + "\n")
                flush(partial)
                aside = replace(partial, path)
                if aside is not None:
                    said = f"{path}: was in the way and no checkpoint; it is {aside.name} now"
                    warnings.warn(said, stacklevel=2)
    except BaseException:
        if rank == 0:
            shutil.rmtree(partial, ignore_errors=True)
        raise


def load(
    checkpoint: Path | Verified,
    participants: Mapping[str, Participant],
    optional: Collection[str] = (),
    cast: bool = False,
) -> int:
    """Hand every participant what was saved of it, on all ranks, and return the step.

    Those of `optional` may be missing on either side; with `cast` a tensor may have another type.
    What is Verified is not hashed again.  Raises HydratronError before anything is changed when a
    file, a participant or a tensor is not what was written or is expected.
    """
    path = checkpoint.path if isinstance(checkpoint, Verified) else checkpoint
    with _together(path):
        if isinstance(checkpoint, Verified):
            files = checkpoint.files
        else:
            files = verify(path, dist.get_rank(), dist.get_world_size())
    with _together(path):
        step, plain = _read_state(path)
        for name in sorted((plain.keys() ^ participants.keys()) - set(optional)):
            where = "the checkpoint, but not in this run" if name in plain else "this run alone"
            raise HydratronError(f"{path}: {name} is in {where}")
        reader = TrustedReader(path, files)
        tensors: dict[str, Tensor] = {}
        taken = {name: each for name, each in participants.items() if name in plain}
        rooms = _rooms(path, taken, reader.saved(), cast)
        for name, room in rooms.items():
            tensors |= {f"{name}/{key}": tensor for key, tensor in room.items()}
    with _together(path):
        planner = dcp.DefaultLoadPlanner(flatten_state_dict=False)
        dcp.load(tensors, storage_reader=reader, planner=planner)
    with _together(path):
        for name, participant in taken.items():
            participant.load(plain[name] | rooms[name])
    return step


def load_weights(path: Path, model: Participant) -> int:
    """Fill the participant `model` alone, on all ranks, and return the step."""
    # What the others are called is in a file that load() verifies before it believes it.
    others = state_of(path).get("participants", {}).keys() - {"model"}
    return load(path, {"model": model}, optional=others)


def _collect(
    participants: Mapping[str, Participant],
) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """All tensors by `PARTICIPANT/KEY`, and by participant what is JSON."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for name, participant in participants.items():
        if "/" in name:
            raise HydratronError(f"{name}: a participant of a checkpoint has no / in its name")
        plain[name] = {}
        for key, value in participant.state().items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{key}"] = value.detach()
            elif _is_json(value):
                plain[name][key] = value
            else:
                shown = f"{type(value).__name__} {value!r}"[:80]
                raise HydratronError(f"{name}: {key}: neither tensor nor JSON: {shown}")
    return tensors, plain


def _is_json(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


def _rooms(
    path: Path, participants: Mapping[str, Participant], everything: Mapping[str, Saved], cast: bool
) -> dict[str, dict[str, Tensor]]:
    """Per participant the tensors to fill, each of which the checkpoint has in shape and type.

    torch copies from one type to another without a word, which `cast` asks for.
    """
    saved: dict[str, dict[str, Saved]] = {name: {} for name in participants}
    for full_name, of_it in everything.items():
        name, _, key = full_name.partition("/")
        if name in saved:
            saved[name][key] = of_it
    rooms = {}
    for name, participant in participants.items():
        if isinstance(participant, MakesRoom):
            room = participant.room(saved[name])
        else:
            state = participant.state()
            room = {key: value for key, value in state.items() if isinstance(value, Tensor)}
            others = participant.elsewhere if isinstance(participant, Divided) else ()
            for key in sorted(saved[name].keys() - room.keys() - {*others}):
                raise HydratronError(f"{path}: {name}/{key} was saved, but this run has no such")
        for key, tensor in room.items():
            if key not in saved[name]:
                raise HydratronError(f"{path}: {name}/{key} was not saved")
            there, floats = saved[name][key], tensor.is_floating_point()
            cast_too = cast and floats and there.dtype.is_floating_point
            if tensor.shape != there.shape or (tensor.dtype != there.dtype and not cast_too):
                raise HydratronError(f"{path}: {name}/{key}: {_difference(there, tensor)}")
        rooms[name] = room
    return rooms


def _difference(there: Saved, here: Tensor) -> str:
    if there.shape != here.shape:
        return f"its shape is {list(there.shape)} in the checkpoint and {list(here.shape)} here"
    types = [str(dtype).removeprefix("torch.") for dtype in (there.dtype, here.dtype)]
    return "a {} checkpoint does not load into {}; checkpoint.cast=true takes it".format(*types)


def _read_state(path: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    state = state_of(path)
    if state.get("version", 1) != VERSION:
        raise HydratronError(
            f"{path}: was written by an older hydratron: train again or use that version"
        )
    step = state["step"]
    if not isinstance(step, int) or "participants" not in state:
        raise HydratronError(f"{path}: its {STATE} says step {step}, no whole number")
    if CHECKPOINT_NAME.fullmatch(path.name) and checkpoint_step(path) != step:
        raise HydratronError(f"{path}: its {STATE} says step {step}")
    return step, state["participants"]


@contextmanager
def _together(path: Path) -> Iterator[None]:
    """What fails in this block on one rank raises on all, after all have left it."""
    error: Exception | None = None
    text = ""
    try:
        yield
    except dcp.CheckpointException as caught:
        rank, (cause, _) = min(caught.failures.items())
        text = _line(path, rank, cause)
        error = HydratronError(text)
    except Exception as caught:
        error, text = caught, _line(path, dist.get_rank(), caught)
    texts = [each for each in _gathered(text) if each]
    if error is not None and not isinstance(error, OSError | HydratronError):
        raise error
    for text in texts:
        raise HydratronError(text) from error


def _line(path: Path, rank: int, error: BaseException) -> str:
    if isinstance(error, HydratronError):
        return str(error)
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.errno in FULL:
        said = f"{FULL[error.errno]} ({error.strerror})"
    return f"{path}: rank {rank}: {said}".splitlines()[0]


def _gathered(mine: Any) -> list[Any]:
    everyones = [None] * dist.get_world_size()
    dist.all_gather_object(everyones, mine)
    return everyones
