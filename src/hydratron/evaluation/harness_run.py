"""`hydratron evaluate --harness`: tasks and checkpoints are checked first, then scored in turn."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydratron.config.load import dump
from hydratron.config.schema import Config
from hydratron.errors import DataError, JobError, Problem
from hydratron.evaluation import harness
from hydratron.evaluation.checkpoints import Opened, find, opened
from hydratron.evaluation.harness import HarnessTask
from hydratron.evaluation.record import FORMAT, circumstances, place_of, read_record
from hydratron.evaluation.run import POSITIONS, Done
from hydratron.evaluation.running import Running
from hydratron.job import JobFolder, read_json, write_json
from hydratron.launch import accelerators, forkserver
from hydratron.launch.attempt import failed
from hydratron.launch.progress import Display, Position, cause

JUDGE = "hydratron.evaluation.judge:judge"
ASKED, TOKENIZER, FOUND = "asked.json", "tokenizer.json", "found.json"
# Between two calls of the first rank the others wait: it may load a task's data meanwhile.
PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class Command(Running):
    """What the command line asks; None is the model's own, or all documents."""

    checkpoints: Sequence[Path]
    tasks: Sequence[str]
    include: Path | None = None
    limit: int | None = None
    batch: int | None = None
    context: int | None = None
    again: bool = False

    @property
    def asked(self) -> harness.Asked:
        include = None if self.include is None else self.include.resolve()
        return harness.Asked(self.tasks, include, self.limit)


@dataclass(frozen=True)
class Planned:
    """One checkpoint and the tasks, each with its place, that nothing is known to be wrong with."""

    checkpoint: Opened
    config: Config
    context: int
    batch: int
    places: dict[str, Path]
    protocols: dict[str, dict[str, Any]]


def plan(command: Command, tell: Callable[[str], None]) -> tuple[list[Planned], list[HarnessTask]]:
    """All that the command asks; HydratronError where anything is wrong with any of it."""
    version = harness.library()
    found, notes = find(command.checkpoints)
    tokenizer = command.named_tokenizer()
    checkpoints = [opened(path, tokenizer) for path in found]
    for checkpoint in checkpoints:
        if checkpoint.tokenizer.eod is None:
            expected = "its tokenizer has no token that ends a document, which lm-eval needs"
            raise DataError([Problem("CHECKPOINT", checkpoint.path, expected)])
    configs = [_config(command, checkpoint) for checkpoint in checkpoints]
    accelerators.check(configs)
    tasks = harness.opened(command.asked)
    planned = []
    for checkpoint, config in zip(checkpoints, configs, strict=True):
        context = command.context or config.model.seq_length
        places, protocols = {}, {}
        for task in tasks:
            protocols[task.name] = {
                "harness": f"lm-eval {version}",
                "versions": dict(task.versions),
                "context": context,
                "limit": command.limit,
                "own_task": task.own,
            }
            places[task.name] = place_of(
                checkpoint, f"lm-eval-{task.name}", protocols[task.name], task.sha256, config
            )
        batch = command.batch or max(1, POSITIONS // context)
        planned.append(Planned(checkpoint, config, context, batch, places, protocols))
    for note in notes:
        tell(note)
    return planned, tasks


def run(
    command: Command, planned: Sequence[Planned], tasks: Sequence[HarnessTask]
) -> Iterator[Done]:
    """Score them; each is written before it is given.  JobError where ranks fail."""
    started, work = time.time(), (1.0,) * len(planned)
    for index, each in enumerate(planned, 1):
        records = {name: place / "evaluation.json" for name, place in each.places.items()}
        before = {} if command.again else {n: read_record(path) for n, path in records.items()}
        left = [task for task in tasks if before.get(task.name) is None]
        found: dict[str, Any] = {}
        if left:
            found = _scored(command, each, left, Position(index, len(planned), started, work))
        for task in tasks:
            content = before.get(task.name)
            if content is None:
                content = _content(each, task, command.limit, found)
                write_json(records[task.name], content)
            known = before.get(task.name) is not None
            yield Done(each.checkpoint.name, records[task.name], content, before=known)


def _scored(
    command: Command, planned: Planned, tasks: Sequence[HarnessTask], position: Position
) -> dict[str, Any]:
    """What `judge` found; the ranks' job folder is a temporary one."""
    checkpoint = planned.checkpoint
    requests = sum(task.requests for task in tasks)
    trainer = dataclasses.replace(planned.config.trainer, max_steps=requests)
    config = dataclasses.replace(planned.config, trainer=trainer)
    with tempfile.TemporaryDirectory(prefix="hydratron-") as temporary:
        folder = JobFolder(Path(temporary) / f"{checkpoint.name} lm-eval")
        folder.path.mkdir()
        asked = command.asked
        content = {
            "checkpoint": str(checkpoint.path.resolve()),
            "end": checkpoint.tokenizer.end,
            "tasks": [task.name for task in tasks],
            "include": None if asked.include is None else str(asked.include),
            "limit": asked.limit,
            "context": planned.context,
            "batch": planned.batch,
        }
        write_json(folder.path / ASKED, content)
        (folder.path / TOKENIZER).write_text(checkpoint.tokenizer.to_json(), encoding="utf-8")
        dump(config, folder.config)
        began = time.monotonic()
        with Display(config, folder, position) as display:
            forkserver.launch(config, folder, display.update, JUDGE)
        found = read_json(folder.path / FOUND)
        if read_json(folder.result) is None or found is None:
            raise JobError(f"{checkpoint.path}: {cause(failed(folder) | {'log': None})}")
        return found | {"total": time.monotonic() - began}


def _content(
    planned: Planned, task: HarnessTask, limit: int | None, found: dict[str, Any]
) -> dict[str, Any]:
    """All that evaluation.json holds."""
    metrics = found["metrics"].get(task.name, {})
    parts = {name: found["metrics"][name] for name in task.versions if name != task.name}
    cut = found["cut"]
    return {
        "format": FORMAT,
        "task": f"lm-eval-{task.name}",
        "official": limit is None and not task.own,
        "known_as": None,
        "metrics": metrics or {f"{n}/{m}": v for n, of in parts.items() for m, v in of.items()},
        "parts": parts,
        "original_tokens": None,
        "tokens": None,
        "counts": {"documents": task.documents, "requests": task.requests},
        "protocol": planned.protocols[task.name]
        | {"precision": planned.config.trainer.precision},
        "file": None,
        "sha256": task.sha256,
        "notes": [f"{cut} requests are longer than the context and lose their start"] * bool(cut),
        **circumstances(
            planned.checkpoint, planned.config, planned.batch,
            {"scoring": found["seconds"], "total": found["total"]},
        ),
    }  # fmt: skip


def _config(command: Command, checkpoint: Opened) -> Config:
    config = command.config(checkpoint)
    longest = config.model.seq_length
    if (command.context or 0) > longest:
        expected = f"{checkpoint.path} has {longest} positions"
        raise DataError([Problem("--context", command.context, expected)])
    trainer = dataclasses.replace(config.trainer, timeout_seconds=PATIENCE_SECONDS)
    return dataclasses.replace(config, trainer=trainer)
