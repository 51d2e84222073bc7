"""A small corpus on disk, and the shared data where a checkout has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydratron.config.schema import DataConfig, TokenizerConfig

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
WORDS = ("the", "people", "of", "these", "states", "hold", "that", "liberty", "and", "union")


def sentence(i: int) -> str:
    """A text of its own for each document, from few words."""
    return " ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 40)) + f" in the year {1790 + i}."


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A .jsonl file of 50 documents; 7, 27 and 47 are for validation."""
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": sentence(i)}) + "\n" for i in range(50)))
    return path


@pytest.fixture
def data(tmp_path: Path, corpus: Path) -> DataConfig:
    return DataConfig(source="text", path=str(corpus), cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def bpe() -> TokenizerConfig:
    return TokenizerConfig(vocab_size=300)


@pytest.fixture
def gpt2_folder() -> Path:
    folder = SHARED / "vocab" / "gpt2"
    if not folder.is_dir():
        pytest.skip(f"needs GPT-2's vocabulary in {folder}")
    return folder
