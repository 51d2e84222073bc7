"""Published tokenizers beside ours, and texts that are hard to cut."""

from __future__ import annotations

import json
import lzma
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.unit.data.conftest import SHARED

WORDS = (
    "The",
    "naïve",
    "ÅNGSTRÖM",
    "don't",
    "İstanbul",
    "straße",
    "한국어",
    "日本",
    "e-mail",
    "3.14",
)
SPACES = " \t\n\r\x00\u200b\u3000\ufffd\u00ad"


@pytest.fixture(scope="session")
def transformers() -> Iterator[ModuleType]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def bert_folder() -> Path:
    return vocabulary("bert")


@pytest.fixture(scope="session")
def gpt2_folder() -> Path:
    return vocabulary("gpt2")


def vocabulary(name: str) -> Path:
    folder = SHARED / "vocab" / name
    if not folder.is_dir():
        pytest.skip(f"needs the vocabulary in {folder}")
    return folder


@pytest.fixture(scope="session")
def real_texts() -> list[str]:
    """Documents of the corpus cut to pieces, and raw and tokenised articles; about 0.5 MB."""
    corpus = SHARED / "train" / "corpus.jsonl.xz"
    articles = SHARED / "eval" / "wikitext2-test.raw"
    if not corpus.is_file() or not articles.is_file():
        pytest.skip(f"needs the texts in {SHARED}")
    with lzma.open(corpus, "rt", encoding="utf-8") as file:
        documents = [json.loads(file.readline())["text"][:10_000] for _ in range(30)]
    pieces = [text[i : i + 2000] for text in documents for i in range(0, len(text), 2000)]
    return pieces + articles.read_text(encoding="utf-8")[:200_000].split("\n")


@pytest.fixture(scope="session")
def odd_texts() -> list[str]:
    """2,000 mixtures of scripts, signs, spaces and controls."""
    generator = np.random.default_rng(1)
    characters = [chr(i) for i in range(0x110000) if settled(chr(i))]

    def part() -> str:
        kind = generator.random()
        if kind < 0.4:
            return chr(generator.integers(32, 127))
        if kind < 0.7:
            return characters[generator.integers(len(characters))]
        if kind < 0.8:
            return SPACES[generator.integers(len(SPACES))]
        return WORDS[generator.integers(len(WORDS))]

    return ["".join(part() for _ in range(generator.integers(1, 40))) for _ in range(2000)]


def settled(character: str) -> bool:
    """Whether all versions of Unicode since 3.2 agree about its category.

    Libraries have tables of different versions, and treat unassigned characters differently.
    """
    category = unicodedata.category(character)
    return category not in ("Cn", "Cs") and unicodedata.ucd_3_2_0.category(character) == category
