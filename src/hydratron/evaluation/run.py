"""`hydratron evaluate`: all that can be wrong is found first, then one checkpoint after another."""

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
from hydratron.evaluation.checkpoints import Opened, find, opened
from hydratron.evaluation.contract import Material, Request
from hydratron.evaluation.exchange import Asked, read_scores, write_asked
from hydratron.evaluation.record import content_of, place_of, read_record
from hydratron.evaluation.running import Running
from hydratron.evaluation.table import TASKS
from hydratron.job import JobFolder, read_json, write_json
from hydratron.launch import accelerators, forkserver
from hydratron.launch.attempt import failed
from hydratron.launch.progress import Display, Position, cause

SCORE = "hydratron.evaluation.score:score"
# Positions of one forward pass where the user does not say how many windows.
POSITIONS = 4096


@dataclass(frozen=True, kw_only=True)
class Command(Running):
    """What the command line asks; None is the checkpoint's own, or the task's usual."""

    checkpoints: Sequence[Path]
    task: str
    data: Path
    batch: int | None = None
    context: int | None = None
    stride: int | None = None
    key: str = "text"
    megatron_words: bool = False
    again: bool = False


@dataclass(frozen=True)
class Planned:
    """One evaluation that nothing is known to be wrong with."""

    checkpoint: Opened
    config: Config
    material: Material
    batch: int
    place: Path

    @property
    def record(self) -> Path:
        return self.place / "evaluation.json"


@dataclass(frozen=True)
class Done:
    """An evaluation's record, where it lies, and whether it was there before."""

    name: str
    record: Path
    content: dict[str, Any]
    before: bool


def plan(command: Command, tell: Callable[[str], None]) -> list[Planned]:
    """All evaluations of the command; HydratronError where anything is wrong with any of them."""
    found, notes = find(command.checkpoints)
    tokenizer = command.named_tokenizer()
    read: dict[tuple[Any, ...], Material] = {}
    planned = []
    for path in found:
        checkpoint = opened(path, tokenizer)
        config = command.config(checkpoint)
        request = _request(command, checkpoint)
        # The jobs of a sweep mostly share a tokenizer.
        known = checkpoint.tokenizer.sha256, checkpoint.tokenizer.eod, request
        if known not in read:
            read[known] = TASKS[command.task].read(request, checkpoint.tokenizer)
        material = read[known]
        batch = command.batch or max(1, POSITIONS // request.context)
        own = -(-len(material.windows) // config.parallel.data_parallel_size)
        trainer = dataclasses.replace(config.trainer, max_steps=max(1, -(-own // batch)))
        config = dataclasses.replace(config, trainer=trainer)
        place = place_of(checkpoint, command.task, material.protocol, material.sha256, config)
        planned.append(Planned(checkpoint, config, material, batch, place))
    accelerators.check(each.config for each in planned)
    for note in notes:
        tell(note)
    return planned


def run(command: Command, planned: Sequence[Planned]) -> Iterator[Done]:
    """Score them; each is written before it is given.  JobError where ranks fail."""
    started, work = time.time(), tuple(float(each.material.windows.targets) for each in planned)
    for index, each in enumerate(planned, 1):
        name = each.checkpoint.name
        before = None if command.again else read_record(each.record)
        if before is not None:
            yield Done(name, each.record, before, before=True)
            continue
        content = _evaluated(command.task, each, Position(index, len(planned), started, work))
        write_json(each.record, content)
        yield Done(name, each.record, content, before=False)


def _evaluated(task: str, planned: Planned, position: Position) -> dict[str, Any]:
    """The content of evaluation.json; the ranks' job folder is a temporary one."""
    checkpoint, material = planned.checkpoint, planned.material
    with tempfile.TemporaryDirectory(prefix="hydratron-") as temporary:
        folder = JobFolder(Path(temporary) / f"{checkpoint.name} {task}")
        asked = Asked(
            checkpoint.path, material.windows, checkpoint.tokenizer.vocab_size, planned.batch
        )
        write_asked(folder, asked)
        dump(planned.config, folder.config)
        began = time.monotonic()
        with Display(planned.config, folder, position) as display:
            forkserver.launch(planned.config, folder, display.update, SCORE)
        result = read_json(folder.result)
        if result is None:
            raise JobError(f"{checkpoint.path}: {cause(failed(folder) | {'log': None})}")
        metrics = TASKS[task].metrics(material, read_scores(folder))
        seconds = {"scoring": result["seconds"], "total": time.monotonic() - began}
        return content_of(
            checkpoint, task, material, planned.config, planned.batch, metrics, seconds
        )


def _request(command: Command, checkpoint: Opened) -> Request:
    longest = checkpoint.config.model.seq_length
    context = command.context or longest
    if context > longest:
        expected = f"{checkpoint.path} has {longest} positions"
        raise DataError([Problem("--context", context, expected)])
    stride = command.stride or TASKS[command.task].stride(context)
    if stride > context:
        expected = f"at most the context of {context}, or tokens would be left out"
        raise DataError([Problem("--stride", stride, expected)])
    return Request(context, stride, command.data, command.key, command.megatron_words)
