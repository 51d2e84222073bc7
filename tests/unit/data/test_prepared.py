"""The prepared folder: what is checked when it is opened, and the samples it gives."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from hydratron.config.schema import Config, DataConfig, TokenizerConfig
from hydratron.data.prepare import (
    PreparedData,
    check,
    open_prepared,
    prepare,
    training_samples,
    validation_samples,
)
from hydratron.errors import DataError


@pytest.fixture
def folder(data: DataConfig, bpe: TokenizerConfig) -> Path:
    return prepare(data, bpe, progress=False)


@pytest.fixture
def prepared(folder: Path) -> PreparedData:
    return open_prepared(folder)


def test_it_is_what_the_manifest_says(prepared: PreparedData) -> None:
    assert (prepared.vocab_size, prepared.eod) == (300, 299)
    assert (prepared.train.documents, prepared.validation.documents) == (47, 3)
    assert prepared.tokenizer.vocab_size == 300
    assert prepared.split("validation") is prepared.validation
    assert pickle.loads(pickle.dumps(prepared)).train[3].tolist() == prepared.train[3].tolist()


def edit(folder: Path, key: str, value: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "manifest.json").unlink(), "no manifest.json; expected a folder"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json cannot be read: "),
        (lambda f: edit(f, "format", 0), "format 0; this version reads 1"),
        (lambda f: edit(f, "splits", {}), "manifest.json is not one that hydratron wrote"),
        (lambda f: edit(f, "splits", 3), "manifest.json is not one that hydratron wrote"),
        (lambda f: edit(f, "vocab_size", 65500), "is of uint16, not for 65500 entries"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json"),
        (lambda f: (f / "train.bin").unlink(), "train.bin: cannot be read"),
        (lambda f: (f / "train.bin").write_bytes(b"xx"), "train.bin holds 2 bytes"),
        (
            lambda f: [(f / f"train.{s}").replace(f / f"validation.{s}") for s in ("bin", "idx")],
            "train.idx: cannot be read",
        ),
    ],
)
def test_a_damaged_folder_is_refused(
    folder: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(folder)
    with pytest.raises(DataError, match=reason):
        open_prepared(folder)


def test_exchanged_splits_are_refused(folder: Path) -> None:
    for suffix in ("bin", "idx"):
        (folder / f"train.{suffix}").rename(folder / "spare")
        (folder / f"validation.{suffix}").rename(folder / f"train.{suffix}")
        (folder / "spare").rename(folder / f"validation.{suffix}")
    with pytest.raises(DataError, match="train does not have the tokens and documents"):
        open_prepared(folder)


@pytest.mark.parametrize(
    ("content", "reason"), [("{", "cannot be read as a tokenizer"), (None, "is not the one that")]
)
def test_another_tokenizer_is_refused_when_it_is_needed(
    folder: Path, content: str | None, reason: str
) -> None:
    path = folder / "tokenizer.json"
    path.write_text(
        content or path.read_text().replace('"add_prefix_space": false', '"add_prefix_space": true')
    )
    with pytest.raises(DataError, match=reason):
        _ = open_prepared(folder).tokenizer


def test_enough_data_give_no_problem(prepared: PreparedData) -> None:
    config = Config()
    config.model.seq_length = 16
    most = (prepared.validation.tokens - 1) // 16
    config.trainer.val_samples = most
    assert check(prepared, config) == []
    config.trainer.val_samples = most + 1
    assert [str(problem) for problem in check(prepared, config)] == [
        f"trainer.val_samples={most + 1}: at most {most}; the validation split has "
        f"{prepared.validation.tokens} tokens, seq_length is 16"
    ]
    assert len(validation_samples(prepared, 16, most)) == most
    with pytest.raises(DataError, match=f"trainer.val_samples={most + 1}: at most {most}"):
        validation_samples(prepared, 16, most + 1)


def test_a_sequence_longer_than_a_split_is_one_problem(prepared: PreparedData) -> None:
    config = Config()
    tokens = prepared.validation.tokens
    config.model.seq_length = tokens
    assert [str(problem) for problem in check(prepared, config)] == [
        f"model.seq_length={tokens}: at most {tokens - 1}; the validation split has {tokens} tokens"
    ]
    config.model.seq_length, config.trainer.val_samples = tokens - 1, 1
    assert check(prepared, config) == []


def test_validation_samples_are_the_first_of_one_order(prepared: PreparedData) -> None:
    few, many = (validation_samples(prepared, 8, n) for n in (3, 10))
    assert [sample.tolist() for sample in few] == [many[i].tolist() for i in range(3)]
    assert many.index.epochs == 1
    assert len(set(many.index.shuffle[:10].tolist())) == 10


def test_training_samples_follow_the_seed_and_pass_the_epoch(prepared: PreparedData) -> None:
    n = 3 * prepared.train.tokens // 16
    one, same, other = (training_samples(prepared, 16, n, seed) for seed in (1, 1, 2))
    assert len(one) == n
    assert one[n - 1].tolist() == same[n - 1].tolist()
    assert any(one[i].tolist() != other[i].tolist() for i in range(5))
    assert all(sample.shape == (17,) for sample in one)
