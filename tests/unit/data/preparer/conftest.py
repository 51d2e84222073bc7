"""A request for the tokens of one small corpus, and a tokenizer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hydratron.data.preparer.command import Request, prepare_files


@pytest.fixture
def request_(corpus: Path, tmp_path: Path) -> Request:
    return Request(
        inputs=[str(corpus)],
        output=tmp_path / "tokens",
        tokenizer="bpe",
        end=None,
        vocab_size=300,
        keys=["text"],
        level="document",
        append_eod=True,
        language="en",
        workers=1,
        force=False,
    )


@pytest.fixture
def tokenizer(request_: Request, tmp_path: Path) -> str:
    """The path of a tokenizer.json, made from the corpus."""
    prepare_files(replace(request_, output=tmp_path / "first"), progress=False)
    return str(tmp_path / "first" / "tokenizer.json")
