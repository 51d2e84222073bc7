"""Where a job goes on from, and which rows of its metrics stay true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hydratron.config.schema import Config
from hydratron.errors import JobError
from hydratron.job import JobFolder, checkpoint_step, named_checkpoint, write_text

TAIL_BYTES = 8192


def starting_point(config: Config, folder: JobFolder) -> Path | None:
    """The job's own newest checkpoint, else the one that `resume` names, else None.

    Raises JobError when `resume` names neither a checkpoint nor a job folder with one.
    """
    own = folder.newest_checkpoint()
    if own is not None or config.resume is None:
        return own
    named = named_checkpoint(Path(config.resume))
    if named is None:
        raise JobError(f"resume={config.resume}: a checkpoint folder, or a job folder that has one")
    return named


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
