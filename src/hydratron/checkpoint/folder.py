"""A checkpoint is a folder that appears whole, and that any parallel degree can read.

    step_00000200/  *.distcp, .metadata           tensors, torch.distributed.checkpoint's files
                    state.json                    version, step, what else participants keep
                    config.yaml, tokenizer.json   the job's texts
                    manifest.json                 size and sha256 of every file above

All files are written to a hidden folder beside it, which is renamed when they are complete; a load
believes only files that the manifest vouches for.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor

from hydratron.checkpoint.participant import Participant, Saved, State, divided
from hydratron.checkpoint.trust import METADATA, TrustedReader, Writer
from hydratron.errors import HydratronError
from hydratron.hashing import file_sha256
from hydratron.job import write_json

VERSION = 2
STATE, MANIFEST = "state.json", "manifest.json"
Files = dict[str, dict[str, Any]]


def save(
    path: Path, participants: Mapping[str, Participant], step: int, texts: Mapping[str, str]
) -> None:
    """Write the folder `path` from all ranks; it appears whole, or not at all."""
    first = dist.get_rank() == 0
    partial = path.with_name(f".{path.name}.partial")

    def begin() -> None:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)

    def write() -> Files:
        tensors: dict[str, Tensor] = {}
        values: dict[str, State] = {}
        for name, participant in participants.items():
            own, values[name] = divided(name, participant.state())
            tensors |= {f"{name}/{key}": tensor for key, tensor in own.items()}
        dcp.save(tensors, storage_writer=Writer(partial))
        mine = sorted(partial.glob(f"__{dist.get_rank()}_*"))
        if first:
            state = {"version": VERSION, "step": step, "participants": values}
            write_json(partial / STATE, state)
            for name, text in texts.items():
                (partial / name).write_text(text, encoding="utf-8")
            mine += [partial / name for name in (METADATA, STATE, *texts)]
        return {file.name: _fingerprint(file, sync=True) for file in mine}

    def commit(files: Files) -> None:
        write_json(partial / MANIFEST, {"files": dict(sorted(files.items()))})
        _fingerprint(partial / MANIFEST, sync=True)
        _sync(partial)
        remove(path)
        os.replace(partial, path)
        _sync(path.parent)

    try:
        _together(begin if first else _nothing)
        files: Files = {}
        for part in _together(write):
            files |= part
        _together((lambda: commit(files)) if first else _nothing)
    except BaseException:
        if first:
            shutil.rmtree(partial, ignore_errors=True)
        raise


def load(path: Path, participants: Mapping[str, Participant]) -> int:
    """Give every participant what was saved of it, from all ranks; returns the step.

    Raises HydratronError, on all ranks, for a file that is missing or not the one that was written,
    for a participant that the checkpoint lacks or that is not here, and for a tensor of another
    shape or type.
    """
    names = _together(lambda: verify(path, dist.get_rank(), dist.get_world_size()))[0]
    written = read_state(path)
    if written["participants"].keys() != participants.keys():
        saved, here = sorted(written["participants"]), sorted(participants)
        raise HydratronError(f"{path}: holds {', '.join(saved)}; asked for are {', '.join(here)}")
    reader = TrustedReader(path, names)
    whole = reader.tensors()
    rooms: dict[str, dict[str, Tensor]] = {}
    for name, participant in participants.items():
        begin = f"{name}/"
        own = {
            key.removeprefix(begin): saved for key, saved in whole.items() if key.startswith(begin)
        }
        rooms[name] = participant.room(own)
        _check_rooms(path, name, rooms[name], own)
    tensors = {f"{name}/{key}": t for name, room in rooms.items() for key, t in room.items()}
    dcp.load(tensors, storage_reader=reader)
    for name, participant in participants.items():
        participant.load({**rooms[name], **written["participants"][name]})
    return int(written["step"])


def read_state(path: Path) -> dict[str, Any]:
    """The content of state.json.  Raises HydratronError for another version of the format."""
    content: dict[str, Any] = json.loads((path / STATE).read_text(encoding="utf-8"))
    if content.get("version") != VERSION:
        found = content.get("version", 1)
        raise HydratronError(
            f"{path}: a checkpoint of format {found}, this version reads {VERSION}"
        )
    return content


def verify(path: Path, share: int = 0, shares: int = 1) -> list[str]:
    """The files of a checkpoint, of which this call compares one in `shares` with the manifest.

    Raises HydratronError unless they are those that were written.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["files"]
        names = sorted(manifest)
        plain = all(name == Path(name).name and name not in ("", ".", "..") for name in names)
        whole = {STATE, METADATA} <= manifest.keys()
        if not (plain and whole and all(isinstance(manifest[n]["sha256"], str) for n in names)):
            raise ValueError("not the names of a checkpoint's files")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HydratronError(f"{path}: not a whole checkpoint, {MANIFEST}: {error}") from None
    for name in names[share::shares]:
        file = path / name
        if file.is_symlink() or not file.is_file() or _fingerprint(file) != manifest[name]:
            raise HydratronError(f"{file}: missing or changed since the checkpoint was written")
    return names


def remove(path: Path) -> None:
    """Delete a checkpoint; renamed first, so that a part of it never looks whole."""
    if path.exists():
        gone = path.with_name(f".{path.name}.removed")
        shutil.rmtree(gone, ignore_errors=True)
        os.replace(path, gone)
        shutil.rmtree(gone)


def _check_rooms(
    path: Path, name: str, rooms: Mapping[str, Tensor], saved: Mapping[str, Saved]
) -> None:
    for key, room in rooms.items():
        found = saved.get(key)
        if found is None:
            raise HydratronError(f"{path}: {name} lacks {key}")
        for what, here, there in (
            ("shape", list(room.shape), list(found.shape)), ("type", room.dtype, found.dtype)
        ):  # fmt: skip
            if here != there:
                raise HydratronError(f"{path}: {name}, {key}: {what} {there}, here it is {here}")


def _together(work: Callable[[], Any]) -> list[Any]:
    """What `work` gave on every rank; an error of any rank is raised on all of them."""
    result, error = None, None
    try:
        result = work()
    except Exception as caught:
        error = caught
    answers: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(answers, (result, error and f"{type(error).__name__}: {error}"))
    if error is not None:
        raise error
    for rank, (_, said) in enumerate(answers):
        if said is not None:
            raise HydratronError(f"checkpoint, rank {rank}: {said}")
    return [found for found, _ in answers]


def _nothing() -> None:
    return None


def _fingerprint(file: Path, sync: bool = False) -> dict[str, Any]:
    if sync:
        _sync(file)
    return {"bytes": file.stat().st_size, "sha256": file_sha256(file)}


def _sync(path: Path) -> None:
    """What is in the page cache reaches the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
