"""Jobs of a profile that run on another machine: out with their tokens, and their results back.

A folder that is carried looks like a working folder of its own, `outputs/reproduce/...` beside
`outputs/cache/...`, so that each job finds its tokens wherever the folder is.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from hydratron.config.command import PlannedJob
from hydratron.data.corpus import SELECTION
from hydratron.data.prepare import prepare_job
from hydratron.errors import HydratronError
from hydratron.job import JobFolder, replacing
from hydratron.launch.attempt import clear, finished, record
from hydratron.reproduce.stages import OUTPUTS, PlannedStage

# What a job of another machine need not bring back.
STAYS = ("checkpoints", ".lock*", "index")


def carry_out(planned: Sequence[PlannedStage], folder: Path) -> list[Path]:
    """Write the jobs that have no outcome into `folder`, with their tokens; returns where.

    What is there already stays: a job that was cut goes on.  Raises HydratronError for jobs that
    cannot be carried, before anything is written.
    """
    jobs = [(job, place) for job, place in _jobs(planned) if not finished(job.config, place)]
    for job, place in jobs:
        finished(job.config, folder / place)  # Raises for another job's folder.
        if job.config.data.source in ("indexed", "blend"):
            what = f"data={job.config.data.source}: its tokens stay where they are"
            raise HydratronError(f"{what}; data=text or sotu can be carried")
        if job.config.init_from is not None:
            raise HydratronError(f"init_from={job.config.init_from}: a checkpoint is not carried")
    written, tokens = [], {}
    for job, place in jobs:
        config = job.config
        key = repr((config.data, config.tokenizer, config.sentences))
        if key not in tokens:
            made = prepare_job(config, progress=True)
            assert not (made / SELECTION).exists()
            tokens[key] = folder / config.data.cache_dir / made.name
            shutil.copytree(made, tokens[key], dirs_exist_ok=True)
        carried = JobFolder(folder / place)
        if not carried.config.exists():
            carried.path.mkdir(parents=True, exist_ok=True)
            prepared = replace(config.data, prepared=str(tokens[key].absolute()))
            record(replace(config, data=prepared), carried, job.overrides, None)
        written.append(carried.path)
    return written


def pack(planned: Sequence[PlannedStage], file: Path) -> int:
    """Write the outcomes so far, without weights, into one .tar.xz; returns how many.

    The same outcomes give the same bytes.  Raises HydratronError where there is none.
    """
    places = [place for job, place in _jobs(planned) if finished(job.config, place)]
    if not places:
        raise HydratronError("no job of this profile has an outcome yet")
    with (
        replacing(file) as raw,
        tarfile.open(fileobj=raw, mode="w:xz", encoding="utf-8") as archive,
    ):
        for place in sorted(places):
            for path in sorted(place.rglob("*")):
                own = path.relative_to(place).parts
                if path.is_file() and not any(fnmatch(p, s) for p in own for s in STAYS):
                    archive.add(path, filter=_nobodys)
    return len(places)


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what differs from machine to machine."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def carry_back(planned: Sequence[PlannedStage], source: Path) -> int:
    """Take the outcomes of the planned jobs from a folder or from what `pack` wrote; returns how
    many were new.

    Raises HydratronError where there is none of them, JobError where one is another job.
    """
    if source.is_dir() or not source.exists():
        return _take(planned, source)
    with tempfile.TemporaryDirectory(prefix="hydratron-") as temporary:
        try:
            with tarfile.open(source, encoding="utf-8") as archive:
                archive.extractall(temporary, filter="data")
        except (tarfile.TarError, EOFError, lzma.LZMAError) as error:
            raise HydratronError(f"{source}: cannot be unpacked: {error}") from None
        return _take(planned, Path(temporary))


def _take(planned: Sequence[PlannedStage], folder: Path) -> int:
    found = [
        (folder / place, place)
        for job, place in _jobs(planned)
        if finished(job.config, folder / place) and not finished(job.config, place)
    ]
    if not found and not any((folder / place).exists() for _, place in _jobs(planned)):
        raise HydratronError(f"{folder}: holds no job of this profile under {OUTPUTS}")
    for there, here in found:
        if here.exists():
            clear(JobFolder(here))
        shutil.copytree(there, here, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*STAYS))
    return len(found)


def _jobs(planned: Sequence[PlannedStage]) -> Iterator[tuple[PlannedJob, Path]]:
    for stage in planned:
        for sweep in stage.sweeps:
            yield from zip(sweep.planned, sweep.jobs, strict=True)
