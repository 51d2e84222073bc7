"""Which of a job's checkpoints is gone on from, which are kept, and what a kill has left."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from hydratron.checkpoint.manifest import has_its_files, remove
from hydratron.errors import HydratronError
from hydratron.job import CHECKPOINT_NAME, JobFolder

# What `save` and `remove` were at when a process was killed.
LEFT = re.compile(r"\.step_\d{8}\.(partial|removed)")


def newest_whole(
    candidates: Sequence[Path], why_not: Callable[[Path], str | None]
) -> tuple[Path | None, list[str]]:
    """The first of the candidates, newest first, that is whole, and what was passed over for it.

    `why_not` says what is wrong with one.  Raises HydratronError when there are candidates and none
    is whole: starting anew was not asked for.
    """
    passed: list[str] = []
    for path in candidates:
        reason = why_not(path)
        if reason is None:
            if passed:
                passed.append(f"goes on from {path.name}, the newest whole checkpoint")
            return path, passed
        passed.append(f"passed over: {reason}")
    if passed:
        reason = passed[0].removeprefix("passed over: ")
        raise HydratronError(f"{reason}; none of the {len(passed)} checkpoints named is whole")
    return None, []


def strays(folder: JobFolder) -> list[Path]:
    """What is named as a checkpoint and is none: no folder, or one without a manifest."""
    named = {p for p in folder.checkpoints.glob("step_*") if CHECKPOINT_NAME.fullmatch(p.name)}
    return sorted(named - {*folder.checkpoints_newest_first()})


def set_aside(damaged: Path) -> None:
    """Take the name of a checkpoint from what is none any more; its files stay."""
    aside = damaged.with_name(f"{damaged.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    os.replace(damaged, aside)


def retain(folder: JobFolder, keep: int, written: Path) -> None:
    """Delete all but the newest `keep` checkpoints that have their files, never the one `written`.

    One that lacks a file counts for nothing and stays, and so does what is no checkpoint.
    """
    others = [path for path in folder.checkpoints_newest_first() if path != written]
    for old in [path for path in others if has_its_files(path)][max(keep, 1) - 1 :]:
        remove(old)


def sweep(folder: JobFolder) -> None:
    """Delete what a killed save or removal has left."""
    for path in folder.checkpoints.glob(".step_*"):
        if LEFT.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
