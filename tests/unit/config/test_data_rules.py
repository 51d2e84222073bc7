"""Which data and tokenizer options go together."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hydratron.config.schema import Config
from hydratron.config.validate import problems

INDEXED, BLEND = {"source": "indexed", "path": "x"}, {"source": "blend", "paths": ["a", "b"]}
PREPARED = {"kind": "prepared"}
GOOD = [
    ({}, {}),
    ({"source": "text", "path": "."}, {"kind": "wordpiece"}),
    (INDEXED, PREPARED),
    (INDEXED | {"split": "90,9,1"}, {"kind": "gpt2", "path": "."}),
    (BLEND, PREPARED),
    (BLEND | {"weights": [0.7, 0.3]}, {"kind": "bert", "path": "."}),
]
BAD = [
    ({"path": "."}, {}, "data.path=.: is read with data=text or data=indexed, and in"),
    ({"source": "text"}, {}, "data.path=null: data=text needs a .txt, .jsonl or .parquet file"),
    ({"source": "text", "path": "nowhere"}, {}, "data.path=nowhere: no such file or folder"),
    ({"source": "indexed"}, PREPARED, "data.path=null: data=indexed needs a folder of `hydratron"),
    (INDEXED | {"split": "1"}, PREPARED, "data.split=1: training and validation need a share"),
    (INDEXED | {"split": "x,1"}, PREPARED, "data.split=x,1: up to three numbers are expected"),
    ({"source": "blend"}, PREPARED, "data.paths=[]: data=blend needs its sets"),
    (BLEND | {"weights": [1.0]}, PREPARED, "data.weights=[1.0]: one for each of the 2 data.paths"),
    (BLEND | {"weights": [1.0, 0.0]}, PREPARED, "data.weights=[1.0, 0.0]: every weight must be"),
    (BLEND | {"weights": [1.0, -1.0]}, PREPARED, "data.weights=[1.0, -1.0]: every weight must"),
    (BLEND | {"weights": [1e308] * 2}, PREPARED, "data.weights=[1e+308, 1e+308]: every weight"),
    (BLEND | {"weights": [5e-324, 1e9]}, PREPARED, "data.weights=[5e-324, 1000000000.0]: every"),
    (BLEND | {"weights": [math.nan, 1.0]}, PREPARED, "data.weights=[nan, 1.0]: every weight must"),
    (BLEND | {"weights": [math.inf, 1.0]}, PREPARED, "data.weights=[inf, 1.0]: every weight must"),
    ({"weights": [1.0]}, {}, "data.weights=[1.0]: is read with data=blend only"),
    ({"paths": ["a"]}, {}, "data.paths=['a']: is read with data=blend only"),
    ({}, PREPARED, "tokenizer.kind=prepared: data=sotu is text: bpe, wordpiece, gpt2 or bert"),
    (INDEXED, {}, "tokenizer.kind=bpe: data=indexed are tokens already: prepared, gpt2 or bert"),
    ({}, {"kind": "bert"}, "tokenizer.path=null: tokenizer=bert needs vocab.txt or its folder"),
    ({}, {"kind": "gpt2", "path": "nowhere"}, "tokenizer.path=nowhere: no such file or folder"),
    (
        {},
        {"kind": "gpt2"},
        "tokenizer.path=null: tokenizer=gpt2 needs a folder with encoder.json and vocab.bpe, "
        "or a tokenizer.json",
    ),
    ({}, {"eod": "</s>"}, "tokenizer.eod=</s>: is read with tokenizer=gpt2 or tokenizer=bert"),
    ({}, {"path": "."}, "tokenizer.path=.: is read with tokenizer=gpt2 or tokenizer=bert only"),
]


def said(data: dict[str, object], tokenizer: dict[str, object]) -> list[str]:
    made = Config()
    for section, changes in ((made.data, data), (made.tokenizer, tokenizer)):
        for name, value in changes.items():
            setattr(section, name, value)
    return [str(problem) for problem in problems(made)]


@pytest.mark.parametrize(("data", "tokenizer"), GOOD)
def test_what_goes_together(data: dict[str, object], tokenizer: dict[str, object]) -> None:
    assert said(data, tokenizer) == []


@pytest.mark.parametrize(("data", "tokenizer", "answer"), BAD, ids=lambda value: str(value)[:40])
def test_what_does_not(
    data: dict[str, object],
    tokenizer: dict[str, object],
    answer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (found,) = said(data, tokenizer)
    assert found.startswith(answer)
