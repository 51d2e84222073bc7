"""Which checkpoints a command names, and what of them is needed before a rank starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydratron.checkpoint.folder import (
    CONFIG,
    MANIFEST,
    STATE,
    config_text,
    manifest_files,
    text_of,
)
from hydratron.checkpoint.manifest import check_sizes, state_of
from hydratron.checkpoint.trust import TrustedReader
from hydratron.config.huggingface import is_huggingface
from hydratron.config.load import read
from hydratron.config.schema import Config
from hydratron.data.manifest import TOKENIZER
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import ConfigError, DataError, Problem
from hydratron.hashing import file_sha256
from hydratron.job import JobFolder

EMBEDDING = "model/word_embeddings.weight"
KEY = "CHECKPOINT"


@dataclass(frozen=True)
class Opened:
    """A GPT's checkpoint; `sha256` is of its manifest, which has the hashes of all else."""

    path: Path
    config: Config
    tokenizer: Tokenizer
    step: int
    sha256: str

    @property
    def name(self) -> str:
        """`JOB step_00000200`, or the folder's own name where it lies in no job."""
        job = self.path.parent.parent
        inside = self.path.parent.name == "checkpoints" and JobFolder(job).config.is_file()
        return f"{job.resolve().name} {self.path.name}" if inside else self.path.resolve().name


def find(named: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The checkpoints, each once, and a line for every job of a sweep that has none.

    A path is a checkpoint, a job folder (its newest) or a folder of jobs (the newest of each).
    """
    found: dict[Path, Path] = {}
    notes = []
    for path in named:
        if not path.is_dir():
            _refuse(path, "no such folder; a checkpoint, a job folder or a folder of jobs")
        if is_checkpoint(path):
            found.setdefault(path.resolve(), path)
            continue
        jobs = [path] if JobFolder(path).config.is_file() else _jobs(path)
        if not jobs and is_huggingface(path):
            expected = "is a folder of Hugging Face's; hydratron convert makes a job folder of it"
            _refuse(path, f"{expected}, by --to hydratron")
        if not jobs:
            _refuse(path, "neither a checkpoint, nor a job folder, nor a folder of jobs")
        newest = {job: JobFolder(job).newest_checkpoint() for job in jobs}
        if not any(newest.values()):
            _refuse(path, "has no checkpoint (checkpoint.at_end=true saves one)")
        for job, checkpoint in newest.items():
            if checkpoint is None:
                notes.append(f"{job}: has no checkpoint, left out")
            else:
                found.setdefault(checkpoint.resolve(), checkpoint)
    return list(found.values()), notes


def is_checkpoint(path: Path) -> bool:
    return (path / MANIFEST).is_file() and (path / STATE).is_file()


def opened(path: Path, tokenizer: Tokenizer | None = None) -> Opened:
    """Read what is small of a checkpoint and check that it is a GPT that its tokenizer fits.

    `tokenizer` stands for the one in the checkpoint.  Raises HydratronError.
    """
    files = manifest_files(path)
    check_sizes(path)  # The hashes are for the ranks, which read the files.
    try:
        config = read(config_text(path), path / CONFIG)
        step = int(state_of(path)["step"])
    except (ConfigError, KeyError, ValueError, TypeError) as error:
        _refuse(path, f"its configuration cannot be read: {' '.join(str(error).split())}")
    if config.model.architecture != "gpt":
        what = config.model.architecture
        _refuse(path, f"is a {what}; only a model that tells the next token, a gpt, can do this")
    if tokenizer is None:
        if TOKENIZER not in files:
            _refuse(path, f"has no {TOKENIZER}; name one with --tokenizer")
        try:
            tokenizer = Tokenizer.from_json(text_of(path, TOKENIZER), config.tokenizer.eod)
        except ValueError as error:
            _refuse(path, f"its {TOKENIZER} is {error}")
    saved = TrustedReader(path, files).saved()
    if EMBEDDING not in saved:
        _refuse(path, "holds no GPT")
    rows, padded = saved[EMBEDDING].shape[0], config.model.padded(tokenizer.vocab_size)
    if rows != padded:
        expected = f"its embedding has {rows} rows, not {padded} as for the tokenizer's"
        _refuse(path, f"{expected} {tokenizer.vocab_size} entries")
    return Opened(path, config, tokenizer, step, file_sha256(path / MANIFEST))


def evaluation_config(config: Config, degrees: dict[str, Any], threads: int) -> Config:
    """The same model for ranks that only read it: nothing of its training or its machines."""
    default = Config()
    parallel = dataclasses.replace(default.parallel, **degrees)
    launch = dataclasses.replace(default.launch, threads_per_rank=threads)
    trainer = dataclasses.replace(
        default.trainer,
        precision=config.trainer.precision,
        matmul_precision=config.trainer.matmul_precision,
        accelerator=config.trainer.accelerator,
        global_batch_size=parallel.data_parallel_size,
        val_samples=parallel.data_parallel_size,
    )
    logger = dataclasses.replace(default.logger, kind="none")
    return dataclasses.replace(
        config, parallel=parallel, launch=launch, trainer=trainer, logger=logger, resume=None
    )


def _jobs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if JobFolder(path).config.is_file())


def _refuse(path: Path, expected: str) -> NoReturn:
    raise DataError([Problem(KEY, path, expected)])
