"""What the launcher's tests share: small configurations, checkpoints and living processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from hydratron.checkpoint import manifest
from hydratron.config.parallel import ParallelConfig
from hydratron.config.schema import (
    CheckpointConfig,
    Config,
    DataConfig,
    LaunchConfig,
    LoggerConfig,
)
from hydratron.config.trainer import TrainerConfig
from hydratron.job import JobFolder
from hydratron.launch.progress import Position
from tests.helpers import transport

TRAINS = "tests.helpers.trains"


def small_config(tmp_path: Path, ranks: int = 2, kind: str = "local", seed: int = 1) -> Config:
    """A job on CPU ranks whose data folder is never opened."""
    return Config(
        parallel=ParallelConfig(ranks, 1, transport=transport.chosen()),
        data=DataConfig(prepared=str(tmp_path / "prepared")),
        trainer=TrainerConfig(max_steps=4, accelerator="cpu", timeout_seconds=60),
        checkpoint=CheckpointConfig(),
        logger=LoggerConfig(kind="none"),
        launch=LaunchConfig(kind=kind),
        seed=seed,
    )


def position(index: int = 1, total: int = 1) -> Position:
    return Position(index, total, time.time(), (1.0,) * total)


def write_rows(folder: JobFolder, *steps: int) -> None:
    """One row of metrics per step."""
    folder.path.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps({"step": step, "tokens": 10 * step}) + "\n" for step in steps]
    folder.metrics.write_text("".join(rows))


def steps(folder: JobFolder) -> list[int]:
    return [json.loads(line)["step"] for line in folder.metrics.read_text().splitlines()]


def checkpoint(folder: JobFolder, step: int) -> Path:
    """A folder that its manifest vouches for, without a tensor in it."""
    path = folder.checkpoints / f"step_{step:08d}"
    path.mkdir(parents=True)
    for name in (manifest.STATE, manifest.METADATA, "__0_0.distcp"):
        (path / name).write_text(f"{name} of step {step}")
    files = {file.name: manifest.fingerprint(file) for file in path.iterdir()}
    (path / manifest.MANIFEST).write_text(json.dumps({"files": files}))
    return path


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Poll a condition; False when it did not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def descendants(pid: int) -> set[int]:
    """Processes below `pid`, without zombies, from /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = _fields(stat)
        if fields and fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: set[int] = set()
    todo = [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.add(child)
            todo.append(child)
    return found


def writing_below(folder: Path) -> set[int]:
    """Processes, whoever their parent is by now, whose output goes to a file below `folder`."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/1"):
        with suppress(OSError):
            if link.readlink().is_relative_to(folder):
                found.add(int(link.parts[2]))
    return found


def living(pids: Iterable[int]) -> set[int]:
    """Those that still run; a zombie does not."""
    states = {pid: _fields(Path(f"/proc/{pid}/stat")) for pid in pids}
    return {pid for pid, fields in states.items() if fields and fields[0] != "Z"}


def _fields(stat: Path) -> list[str]:
    """State, parent, ... : what follows the name, which may hold spaces."""
    try:
        return stat.read_text().rpartition(")")[2].split()
    except OSError:
        return []
