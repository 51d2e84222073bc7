"""What is read of `tokenizer.json`: the same as the library says, without the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hydratron.data.samples.bert_tokens import bert_tokens
from hydratron.data.tokenizer import train_bpe, train_wordpiece
from hydratron.errors import DataError
from tests.unit.data.tokenizer.processes import printed

TRAINED = train_wordpiece(["the people of these states, the union of the people"] * 3, 46)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    TRAINED.save(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def test_ids_and_continuations(path: Path) -> None:
    tokens = bert_tokens(path)
    names = {"pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    for field, name in names.items():
        assert getattr(tokens, field) == TRAINED.token_id(name)
    assert tokens.vocab_size == TRAINED.vocab_size == 46
    assert tokens.continuation.shape == (46,)
    entries = json.loads(path.read_text())["model"]["vocab"]
    for name, i in entries.items():
        assert tokens.continuation[i] == name.startswith("##")
    assert 0 < tokens.continuation.sum() < 41


def test_entries_added_later_count(path: Path) -> None:
    content = json.loads(path.read_text())
    content["added_tokens"].append({"id": 49, "content": "[NEW]"})
    path.write_text(json.dumps(content))
    tokens = bert_tokens(path)
    assert tokens.vocab_size == 50
    assert not tokens.continuation[46:].any()


def test_the_library_is_not_needed(path: Path) -> None:
    program = (
        "import sys; sys.modules['tokenizers'] = None; from pathlib import Path;"
        "from hydratron.data.samples.bert_tokens import bert_tokens;"
        "from hydratron.data.samples.bert import BertSamples;"
        "print(bert_tokens(Path(sys.argv[1])).mask)"
    )
    assert printed(program, str(path)) == "4"


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        bert_tokens(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"tokenizer={path}: ")


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    assert refused(path) == "does not exist"
    train_bpe(["a"], 257).save(path)
    assert refused(path) == "not a WordPiece tokenizer, which BERT samples need"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "cannot be read: "),
        ("[]", "not a tokenizer file: "),
        ("{}", "not a tokenizer file: "),
        ({"type": "WordPiece"}, "not a tokenizer file: "),
        ({"type": "WordPiece", "vocab": {}}, "not a tokenizer file: "),
        ({"type": "WordPiece", "vocab": []}, "not a tokenizer file: "),
        ({"type": "WordPiece", "vocab": {"[PAD]": -9}}, "not a tokenizer file: "),
        ({"type": "WordPiece", "vocab": {"[PAD]": "0"}}, "not a tokenizer file: "),
        ({"type": "WordPiece", "vocab": {"[PAD]": 0, "[CLS]": 1}}, "the vocabulary has no [SEP]"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, content: Any, expected: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content if isinstance(content, str) else json.dumps({"model": content}))
    assert refused(path).startswith(expected)
