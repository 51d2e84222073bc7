"""`hydratron generate`: what can be wrong is found first, then one prompt after another goes on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydratron.config.load import dump
from hydratron.config.schema import Config
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import DataError, JobError, Problem
from hydratron.evaluation.checkpoints import Opened, find, opened
from hydratron.evaluation.files import read_lines, read_text
from hydratron.evaluation.running import Running
from hydratron.job import JobFolder, read_json, write_json
from hydratron.launch import accelerators, forkserver
from hydratron.launch.attempt import failed
from hydratron.launch.progress import cause

SPEAK = "hydratron.evaluation.speak:speak"
ASKED, SAID, TOKENIZER = "asked.json", "said.jsonl", "tokenizer.json"
# New tokens where the user does not say how many.
MOST = 100
# Seconds between looks at what the ranks have said: as it comes, to a reader.
EVERY = 0.05


@dataclass(frozen=True, kw_only=True)
class Command(Running):
    """What the command line asks; None is the checkpoint's own, or as much as there is room for."""

    checkpoint: Path
    prompts: Sequence[str]
    max_tokens: int | None = None
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Prompt:
    """A prompt's text and tokens, of which there is at least one, and how many may follow."""

    text: str
    tokens: Sequence[int]
    most: int


@dataclass(frozen=True)
class Planned:
    """What nothing is known to be wrong with."""

    checkpoint: Opened
    config: Config
    prompts: Sequence[Prompt]
    sampling: dict[str, Any]


def read_prompts(path: Path) -> list[str]:
    """A prompt a line, or of a .jsonl what each line has under `prompt`."""
    if path.suffix == ".jsonl":
        return read_lines(path, "prompt", "--prompts")[0]
    text, _ = read_text(path, "--prompts")
    return [line for line in text.split("\n") if line.strip()]


def plan(command: Command) -> Planned:
    """HydratronError where anything is wrong with the checkpoint or with any prompt."""
    found, _ = find([command.checkpoint])
    if len(found) > 1:
        expected = f"has {len(found)} jobs; name one of them"
        raise DataError([Problem("CHECKPOINT", command.checkpoint, expected)])
    checkpoint = opened(found[0], command.named_tokenizer())
    config = command.config(checkpoint)
    if config.parallel.data_parallel_size > 1:
        said = "one replica generates; tpA alone"
        raise DataError([Problem("--parallel", command.parallel, said)])
    longest = config.model.seq_length
    prompts = [
        _prompt(number, text, checkpoint.tokenizer, longest, command.max_tokens)
        for number, text in enumerate(command.prompts, 1)
    ]
    accelerators.check([config])
    names = ("temperature", "top_k", "top_p", "seed")
    return Planned(checkpoint, config, prompts, {name: getattr(command, name) for name in names})


def run(planned: Planned, hear: Callable[[dict[str, Any]], None]) -> None:
    """Generate; `hear` is told each piece of text as it comes and each prompt's end.

    `{"prompt": number from 0, "piece": text}`, and at last `{"prompt": number, "end": {...}}` with
    what `speak.Ended` has.  JobError where ranks fail.
    """
    with tempfile.TemporaryDirectory(prefix="hydratron-") as temporary:
        folder = JobFolder(Path(temporary) / planned.checkpoint.name)
        folder.path.mkdir()
        content = {
            "checkpoint": str(planned.checkpoint.path.resolve()),
            "end": planned.checkpoint.tokenizer.end,
            "sampling": planned.sampling,
            "prompts": [asdict(prompt) for prompt in planned.prompts],
        }
        write_json(folder.path / ASKED, content)
        (folder.path / TOKENIZER).write_text(
            planned.checkpoint.tokenizer.to_json(), encoding="utf-8"
        )
        dump(planned.config, folder.config)
        ear = _Ear(folder.path / SAID, hear)
        forkserver.launch(planned.config, folder, ear.listen, SPEAK, EVERY)
        ear.listen()
        if read_json(folder.result) is None:
            said = cause(failed(folder) | {"log": None})
            raise JobError(f"{planned.checkpoint.path}: {said}")


class _Ear:
    """Reads the lines of a file that another process is writing, each once and whole."""

    def __init__(self, path: Path, hear: Callable[[dict[str, Any]], None]) -> None:
        self._path, self._hear, self._at = path, hear, 0

    def listen(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._at += len(line)
                self._hear(json.loads(line))


def _prompt(
    number: int, text: str, tokenizer: Tokenizer, longest: int, asked: int | None
) -> Prompt:
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(number, "is not UTF-8 text")
    tokens = tokenizer.encode(text)
    if not tokens:
        # Nothing to go on from: as after the end of another document.
        if tokenizer.eod is None:
            _refuse(number, "is empty, and the tokenizer has no token that ends a document")
        tokens = [tokenizer.eod]
    room = longest - len(tokens)
    if room < 1 or (asked or 0) > room:
        more = f" and --max-tokens {asked}" if asked else ""
        _refuse(number, f"has {len(tokens)} tokens{more}; the model has {longest} positions")
    return Prompt(text, tokens, asked or min(MOST, room))


def _refuse(number: int, expected: str) -> NoReturn:
    raise DataError([Problem(f"prompt {number}", "", expected)])
