"""The job folder: the only interface between training and everything that reads it afterwards."""

from __future__ import annotations

import json
import re
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

VALID_NAME = re.compile(r"[A-Za-z0-9_.-]+")
SIGNALLED = 128  # plus the number of the signal: the exit code of a process that it ended
# A diverged job is an outcome: run again it would diverge again.
FINAL = ("completed", "diverged")
CHECKPOINT_NAME = re.compile(r"step_(\d{8})")


@dataclass(frozen=True)
class JobFolder:
    """Names of the files of one job; nothing is read or created before a method is called."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def sweep(self) -> str:
        """Name of the folder around it: the W&B group."""
        return self.path.resolve().parent.name

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def overrides(self) -> Path:
        return self.path / "overrides.yaml"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def failure(self) -> Path:
        return self.path / "failure.json"

    @property
    def lock(self) -> Path:
        """Held while the job runs."""
        return self.path / ".lock"

    @property
    def wandb(self) -> Path:
        return self.path / "wandb.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def status(self) -> str:
        """`completed`, `failed`, `preempted`, `diverged`, or `unfinished` without a result."""
        result = read_json(self.result)
        return str(result["status"]) if result else "unfinished"

    def checkpoints_newest_first(self) -> list[Path]:
        """Those that have their manifest; whether that holds, whoever reads one finds out."""
        named = (p for p in self.checkpoints.glob("step_*") if CHECKPOINT_NAME.fullmatch(p.name))
        return sorted((p for p in named if (p / "manifest.json").is_file()), reverse=True)

    def newest_checkpoint(self) -> Path | None:
        """The checkpoint of the largest step."""
        return next(iter(self.checkpoints_newest_first()), None)


def named_checkpoint(path: Path) -> Path | None:
    """The checkpoint that `path` names: itself, or the newest of a job folder; None without one."""
    if CHECKPOINT_NAME.fullmatch(path.name) and path.is_dir():
        return path
    return JobFolder(path).newest_checkpoint()


def checkpoint_step(path: Path) -> int:
    """The optimizer step in a checkpoint's name, `step_00000200` -> 200."""
    match = CHECKPOINT_NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path} is not named step_NNNNNNNN")
    return int(match.group(1))


def exit_code(result: Mapping[str, Any]) -> int:
    """What a process that ran this job ends with: as if by its signal when it was preempted."""
    if result["status"] == "preempted":
        return SIGNALLED + (signal.SIGINT if result.get("signal") == "SIGINT" else signal.SIGTERM)
    return 0 if result["status"] == "completed" else 1


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries with dotted keys; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file, or None when there is no such file; ValueError for what is no JSON."""
    if not path.is_file():  # Nor a pipe, which whoever opens it waits for.
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except RecursionError:
        raise ValueError("levels without end") from None
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write by rename, so that a reader sees the old file, the new one, or none."""
    write_text(path, json.dumps(content, indent=2, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write by rename, so that a reader sees the old file, the new one, or none."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends without an error.

    Who may read it is for the umask to say.  An OSError names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        if error.filename is None:  # A write knows only its descriptor.
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """A name that nobody has, hidden, in the same folder: `.NAME.xxxxxxxx`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")
