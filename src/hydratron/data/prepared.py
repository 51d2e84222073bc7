"""The folder of prepared tokens: what is in it, whether it is whole, which samples it gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hydratron.config.schema import Config
from hydratron.data.indexed import IndexedDataset, token_dtype
from hydratron.data.samples.gpt import GPTSamples, build_sample_index, samples_per_epoch
from hydratron.data.split import SPLITS, TRAIN, VALIDATION
from hydratron.errors import DataError, Problem
from hydratron.job import read_json

if TYPE_CHECKING:
    from hydratron.data.tokenizer import Tokenizer

FORMAT = 1
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
# One order for every run, so that its first n samples are the same whatever seed trains.
VALIDATION_SEED = 1234


@dataclass(frozen=True, eq=False)
class PreparedData:
    """Both splits of a corpus as token files, one sequence per document, each closed by `eod`."""

    path: Path
    train: IndexedDataset
    validation: IndexedDataset
    vocab_size: int
    eod: int
    manifest: dict[str, Any]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the tokens; DataError when the file is another one."""
        from hydratron.data.tokenizer import Tokenizer

        try:
            tokenizer = Tokenizer.load(self.path / TOKENIZER)
        except ValueError as error:
            _refuse(self.path, str(error))
        if tokenizer.sha256 != self.manifest["tokenizer"]["sha256"]:
            _refuse(self.path, f"{TOKENIZER} is not the one that made the tokens")
        return tokenizer

    def split(self, name: str) -> IndexedDataset:
        """`train` or `validation`."""
        return {TRAIN: self.train, VALIDATION: self.validation}[name]


def open_prepared(path: str | Path) -> PreparedData:
    """Open a folder that `prepare` made; DataError when it is missing, damaged or of another time.

    Sizes, offsets and counts are compared with the manifest, the hashes of the tokens are not.
    """
    path = Path(path).absolute()
    try:
        manifest = read_json(path / MANIFEST)
    except (OSError, ValueError) as error:
        _refuse(path, f"{MANIFEST} cannot be read: {error}")
    if manifest is None:
        _refuse(path, f"no {MANIFEST}; expected a folder that `hydratron train` prepared")
    if manifest.get("format") != FORMAT:
        _refuse(path, f"format {manifest.get('format')}; this version reads {FORMAT}")
    if not (path / TOKENIZER).is_file():
        _refuse(path, f"no {TOKENIZER}; remove the folder to prepare it again")
    splits = {name: IndexedDataset(path / name) for name in SPLITS}
    try:
        vocab_size, eod = manifest["vocab_size"], manifest["eod"]
        announced = manifest["splits"]
        for name, dataset in splits.items():
            counts = {"documents": dataset.documents, "tokens": dataset.tokens}
            if not counts.items() <= announced[name].items():
                _refuse(path, f"{name} does not have the tokens and documents of {MANIFEST}")
            if dataset.dtype != token_dtype(vocab_size):
                _refuse(path, f"{name} is of {dataset.dtype}, not for {vocab_size} entries")
    except (KeyError, TypeError) as error:
        _refuse(path, f"{MANIFEST} is not one that hydratron wrote: {error!r}")
    return PreparedData(path, **splits, vocab_size=vocab_size, eod=eod, manifest=manifest)


def check(prepared: PreparedData, config: Config) -> list[Problem]:
    """What a job asks of the data that they do not have; empty when all is well."""
    length = config.model.seq_length
    shortest = min(SPLITS, key=lambda name: prepared.split(name).tokens)
    tokens = prepared.split(shortest).tokens
    if samples_per_epoch(tokens, length) == 0:
        expected = f"at most {tokens - 1}; the {shortest} split has {tokens} tokens"
        return [Problem("model.seq_length", length, expected)]
    return _too_few_validation_samples(prepared, length, config.trainer.val_samples)


def training_samples(prepared: PreparedData, seq_length: int, n: int, seed: int) -> GPTSamples:
    """The n samples that a run of this seed reads, in order, over as many epochs as it takes."""
    index = build_sample_index(prepared.train.sizes, seq_length, n, seed)
    return GPTSamples(prepared.train, index, n)


def validation_samples(prepared: PreparedData, seq_length: int, n: int) -> GPTSamples:
    """The first n samples of the validation split's one fixed order; none occurs twice.

    Raises DataError when the split has fewer.
    """
    if problems := _too_few_validation_samples(prepared, seq_length, n):
        raise DataError(problems)
    index = build_sample_index(prepared.validation.sizes, seq_length, n, VALIDATION_SEED)
    return GPTSamples(prepared.validation, index, n)


def _too_few_validation_samples(prepared: PreparedData, seq_length: int, n: int) -> list[Problem]:
    tokens = prepared.validation.tokens
    most = samples_per_epoch(tokens, seq_length)
    if n <= most:
        return []
    expected = f"at most {most}; the validation split has {tokens} tokens"
    return [Problem("trainer.val_samples", n, f"{expected}, seq_length is {seq_length}")]


def _refuse(path: Path, expected: str) -> NoReturn:
    raise DataError([Problem("data.prepared", path, expected)])
