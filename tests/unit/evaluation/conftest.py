"""GPT-2's tokenizer and the tasks' files, where they are shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydratron.data.tokenizer import Tokenizer, open_gpt2

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def gpt2() -> Tokenizer:
    folder = SHARED / "vocab" / "gpt2"
    if not folder.is_dir():
        pytest.skip(f"needs GPT-2's vocabulary in {folder}")
    return open_gpt2(str(folder))


def shared(name: str) -> Path:
    if not (SHARED / "eval" / name).is_file():
        pytest.skip(f"needs {name} in {SHARED / 'eval'}")
    return SHARED / "eval" / name
