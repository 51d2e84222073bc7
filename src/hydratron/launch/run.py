"""One job from its configuration to its result, for the command line: `run_job`."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from hydratron.config.keys import carries
from hydratron.config.load import dump, load, to_dict
from hydratron.config.schema import Config
from hydratron.data.prepare import prepare
from hydratron.errors import ConfigError, JobError
from hydratron.job import JobFolder, flatten, read_json, write_json, write_text
from hydratron.launch import failure, forkserver, torchrun
from hydratron.launch.history import last_row, starting_point
from hydratron.launch.progress import Display, Position, end_line, say
from hydratron.launch.provenance import provenance
from hydratron.launch.supervision import TRAIN, rank_log, remove_empty_logs

LAUNCHERS: dict[str, Callable[[Config, JobFolder, Callable[[], None], str], None]] = {
    "local": forkserver.launch,
    "torchrun": torchrun.launch,
}
# What a job leaves behind that ended before its config.yaml; hidden files are nobody's.
BEGUN = ("failure.json", "result.json", "overrides.yaml", "provenance.json")
# A diverged job is an outcome: run again it would diverge again.
FINAL = ("completed", "diverged")


def run_job(
    config: Config, folder: Path, overrides: Sequence[str], position: Position, train: str = TRAIN
) -> dict[str, Any]:
    """Run the job in `folder`, or find it finished there, and return its result.

    A failed job does not raise: its result says `failed`, with rank, kind and message, and is also
    in result.json, unless the folder belongs to another job.  `train` is `package.module:function`.
    """
    if config.resume is not None:
        # The folder may be run again from elsewhere.
        config = dataclasses.replace(config, resume=str(Path(config.resume).resolve()))
    began = time.monotonic()

    def work(job: JobFolder) -> dict[str, Any]:
        return _run(config, job, overrides, position, train)

    result, before = unless_finished(config, folder, "train", position.label, work)
    if before:
        return result
    if result["status"] == "failed":
        keys = f"kind={result['kind']} rank={_or_dash(result, 'rank')}"
        say(f"FAULT {keys} step={_or_dash(result, 'step')} action=job ended")
    say(end_line(folder.name, position, result, time.monotonic() - began))
    return result


def unless_finished(
    config: Config,
    folder: Path,
    verb: str,
    label: str,
    work: Callable[[JobFolder], dict[str, Any]],
) -> tuple[dict[str, Any], bool]:
    """The result of `work` in a job's folder, or True with the one that was found there.

    No other process has the folder meanwhile; one that is not to be had is a failed job.
    """
    job = JobFolder(folder)
    try:
        with owned(job, config):
            result = finished(config, folder, verb)
            if result is None:
                return work(job), False
            say(f"{label}{job.name} {result['status']} before, skipped")
            return result, True
    except (JobError, OSError) as error:
        return {"status": "failed", "kind": type(error).__name__, "message": str(error)}, False


def finished(config: Config, folder: Path, verb: str = "train") -> dict[str, Any] | None:
    """The result of this very job if `folder` has a final one; None if it is still to be run.

    Raises JobError when the folder holds a job of another configuration, or of another verb of
    `hydratron`.
    """
    job = JobFolder(folder)
    advice = "choose another hydra.run.dir or hydra.sweep.dir, or remove the folder"
    if not job.config.exists():
        names = sorted(path.name for path in folder.glob("[!.]*"))
        if any(name not in BEGUN for name in names) or names == ["result.json"]:
            other = "choose another hydra.run.dir or hydra.sweep.dir"
            raise JobError(f"{folder}: not empty and no job's ({names[0]} lies there); {other}")
        return None
    held = (read_json(job.provenance) or {}).get("verb", "train")
    if held != verb:
        raise JobError(f"{folder}: holds a job of hydratron {held}; {advice}")
    try:
        before = load(job.config)
    except ConfigError as error:
        raise JobError(f"{folder}: holds a job of another version: {error}; {advice}") from None
    old, new = flatten(to_dict(before)), flatten(to_dict(config))
    for key in old:
        # Where and how a job runs does not say which job it is.
        same = carries(key, "bookkeeping") and not carries(key, "distinct")
        if old[key] != new[key] and not same:
            change = f"{key}: {old[key]} -> {new[key]}"
            raise JobError(f"{folder}: holds another job ({change}); {advice}")
    result = read_json(job.result)
    return result if result and result["status"] in FINAL else None


def all_finished(
    jobs: Iterable[tuple[Config, Path]], verb: str = "train"
) -> list[dict[str, Any] | None]:
    """`finished` of every job.  Raises JobError with one line for each folder of another job."""
    results, taken = [], []
    for config, folder in jobs:
        try:
            results.append(finished(config, folder, verb))
        except JobError as error:
            taken.append(str(error))
    if taken:
        raise JobError("\n".join(taken))
    return results


def _run(
    config: Config, job: JobFolder, overrides: Sequence[str], position: Position, train: str
) -> dict[str, Any]:
    try:
        if config.launch.node_rank == 0:
            clear(job)
        config = _write_inputs(config, job, overrides)
        with Display(config, job, position) as display:
            LAUNCHERS[config.launch.kind](config, job, display.update, train)
        result = read_json(job.result)
        if result is not None:
            remove_empty_logs(job)
            return result
        # Only when nothing else was recorded.
        failure.raised(job, None, JobError("the ranks ended without a result"))
    except Exception as error:
        failure.raised(job, None, error)
    except BaseException:
        # Interrupted, not failed: ranks that lost their peers on the way out are no cause.
        job.failure.unlink(missing_ok=True)
        raise
    result = failed(job, config.launch.node_rank)
    if config.launch.node_rank == 0:
        write_json(job.result, result)
    return result


def failed(job: JobFolder, node_rank: int = 0) -> dict[str, Any]:
    """The result of a job that ended with a failure.json; only the first host writes it."""
    found = read_json(job.failure) or {}
    rank = found.get("rank")
    log = rank_log(job, rank) if rank is not None else torchrun.agent_log(job, node_rank)
    keys = ("rank", "kind", "message", "step")
    return (
        last_row(job)
        | {"status": "failed"}
        | {key: found.get(key) for key in keys}
        | {"log": str((log if log.exists() else job.failure).relative_to(job.path))}
    )


@contextlib.contextmanager
def owned(job: JobFolder, config: Config) -> Iterator[None]:
    """Keep a second launcher out of the folder; the lock falls with this process."""
    job.path.mkdir(parents=True, exist_ok=True)
    if config.launch.node_rank > 0:
        # The first host of the job holds the lock, over the shared file system.
        yield
        return
    try:
        lock = FileLock(job.path / ".lock", timeout=0).acquire()
    except Timeout:
        raise JobError(f"{job.path}: another process is running this job") from None
    with lock:
        yield


def clear(job: JobFolder) -> None:
    """Remove what an earlier attempt said about its end; its checkpoints and metrics stay."""
    job.result.unlink(missing_ok=True)
    job.failure.unlink(missing_ok=True)
    for log in (job.path / "logs").glob("*.log"):
        if not log.name.startswith("torchrun_"):  # Another host's, which may have begun.
            log.unlink()
    for store in job.path.glob(".store-*"):
        store.unlink()


def _write_inputs(config: Config, job: JobFolder, overrides: Sequence[str]) -> Config:
    """Write what the ranks read and what the reader asks; return the configuration with data."""
    if config.data.prepared is None:
        tokens = config.data, config.tokenizer
        prepared = prepare(*tokens, sentences=config.sentences, progress=False)
        data = dataclasses.replace(config.data, prepared=str(prepared))
        config = dataclasses.replace(config, data=data)
    if config.launch.node_rank == 0 or not job.config.exists():
        record(config, job, overrides, starting_point(config, job))
    return config


def record(
    config: Config, job: JobFolder, overrides: Sequence[str], start: Path | None, **more: Any
) -> None:
    """Write the configuration, the overrides, and where the results come from with `more`."""
    write_text(job.overrides, yaml.safe_dump(list(overrides)))
    write_json(job.provenance, provenance(config, job.path, overrides, start) | more)
    # Last: it makes the folder this job's.
    dump(config, job.config)


def _or_dash(result: Mapping[str, Any], key: str) -> Any:
    return "-" if result.get(key) is None else result[key]
