"""One attempt at a job in its folder: alone there, not done before, with a result at its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from hydratron.config.identity import identity
from hydratron.config.load import dump, load
from hydratron.config.schema import Config
from hydratron.errors import ConfigError, JobError
from hydratron.job import FINAL, JobFolder, read_json, write_json, write_text
from hydratron.launch import failure
from hydratron.launch.history import last_row
from hydratron.launch.ownership import owned
from hydratron.launch.progress import say
from hydratron.launch.provenance import data_hash, provenance
from hydratron.launch.supervision import agent_log, rank_log, remove_logs

ADVICE = "choose another hydra.run.dir or hydra.sweep.dir"
# What lies in the folder of a job that did not get as far as its config.yaml, with the keys that
# a file has if a job wrote it: its report, another host's log, and what a kill left half written.
EARLY: dict[str, tuple[str, ...]] = {
    r"\.lock(\.held)?|dashboard\.html|summary\.csv|curves\.csv|overrides\.yaml": (),
    r"\.(config\.yaml|overrides\.yaml|provenance\.json|result\.json|failure)\..+": (),
    r"torchrun_[1-9]\d*\.log": (),
    r"provenance\.json": ("overrides", "versions"),
    r"result\.json": ("status", "kind"),
    r"failure\.json": ("kind", "traceback"),
}


def attempt(
    config: Config, job: JobFolder, verb: str, label: str, work: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """Do the `work` of a job, or find it done; returns its result, and whether `work` was tried.

    `work` writes the result that it returns.  A failed job does not raise: its result, with rank,
    kind and message, is written here, by the first host, unless the folder is not this job's.
    """
    try:
        with owned(job, config.launch.node_rank == 0):
            result = finished(config, job.path, verb)
            if result is not None:
                say(f"{label}{job.name} {result['status']} before, skipped{_stale(config, job)}")
                return result, False
            return _attempt(job, config.launch.node_rank == 0, work), True
    except (JobError, OSError) as error:
        return _told(error), True


def _stale(config: Config, job: JobFolder) -> str:
    """What is to be said of a job whose text is no longer what it was trained on."""
    then, now = (read_json(job.provenance) or {}).get("data_sha256"), data_hash(config)
    if now is None or then in (None, now):
        return ""
    return f"; its data are others now: what follows is of those before ({ADVICE})"


def _attempt(job: JobFolder, first: bool, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if first:
        clear(job)
    try:
        return work()
    except Exception as error:
        failure.raised(job, None, error)
        if not first:
            return _told(error)
    except BaseException:
        if first:
            # Interrupted, not failed: ranks that lost their peers on the way out are no cause.
            job.failure.unlink(missing_ok=True)
        raise
    result = failed(job)
    write_json(job.result, result)
    return result


def _told(error: Exception) -> dict[str, Any]:
    return {"status": "failed", "kind": type(error).__name__, "message": str(error)}


def finished(config: Config, folder: Path, verb: str = "train") -> dict[str, Any] | None:
    """The result of this very job if `folder` has a final one; None if it is still to be run.

    Raises JobError when the folder holds a job of another configuration, of another verb of
    `hydratron`, or anything that no job wrote.
    """
    job = JobFolder(folder)
    if not (job.config.exists() and _wrote(job.provenance)):
        foreign = [path.name for path in _entries(folder) if not _early(path)]
        if foreign:
            what = f"not empty and no job's folder ({min(foreign)} lies there)"
            raise JobError(f"{folder}: {what}; {ADVICE}")
        return None
    advice = f"{ADVICE}, or remove the folder"
    held = verb_of(job)
    if held != verb:
        raise JobError(f"{folder}: holds a job of hydratron {held}; {advice}")
    try:
        before = load(job.config)
    except ConfigError as error:
        raise JobError(f"{folder}: holds a job of another version: {error}; {advice}") from None
    old, new = identity(before), identity(config)
    for key in old:
        if old[key] != new[key]:
            change = f"{key}: {old[key]} -> {new[key]}"
            raise JobError(f"{folder}: holds another job ({change}); {advice}")
    result = read_json(job.result)
    return result if result and result["status"] in FINAL else None


def verb_of(job: JobFolder) -> str:
    """Which verb of `hydratron` made the job."""
    return str((read_json(job.provenance) or {}).get("verb", "train"))


def _entries(folder: Path) -> list[Path]:
    """What lies in the folder and in its logs; the path itself where it is no folder."""
    if not folder.is_dir():
        return [folder] if folder.exists() else []
    found = [*folder.iterdir(), *folder.glob("logs/*")]
    return [path for path in found if not (path.name == "logs" and path.is_dir())]


def _early(path: Path) -> bool:
    keys = [keys for name, keys in EARLY.items() if re.fullmatch(name, path.name)]
    return path.is_file() and bool(keys) and _wrote(path, keys[0])


def _wrote(path: Path, keys: Sequence[str] = EARLY[r"provenance\.json"]) -> bool:
    """Whether the file has the keys of one that a job wrote."""
    if not keys:
        return True
    try:
        content = read_json(path)
    except (ValueError, OSError):
        return False
    return isinstance(content, dict) and content.keys() >= {*keys}


def failed(job: JobFolder) -> dict[str, Any]:
    """The result of a job that ended with a failure.json."""
    found = read_json(job.failure) or {}
    rank = found.get("rank")
    log = rank_log(job, rank) if rank is not None else agent_log(job)
    keys = ("rank", "kind", "message", "step")
    run = read_json(job.wandb)
    return (
        last_row(job)
        | {"status": "failed"}
        | {key: found.get(key) for key in keys}
        | {"log": str((log if log.exists() else job.failure).relative_to(job.path))}
        | ({"wandb": run} if run else {})
    )


def clear(job: JobFolder) -> None:
    """Remove what an earlier attempt said about its end; its checkpoints and metrics stay."""
    job.result.unlink(missing_ok=True)
    job.failure.unlink(missing_ok=True)
    remove_logs(job, node=0)


def record(
    config: Config, job: JobFolder, overrides: Sequence[str], start: Path | None, **more: Any
) -> None:
    """Write the configuration, the overrides, and where the results come from with `more`."""
    write_text(job.overrides, yaml.safe_dump(list(overrides)))
    write_json(job.provenance, provenance(config, job.path, overrides, start) | more)
    # Last: it makes the folder this job's.
    dump(config, job.config)
