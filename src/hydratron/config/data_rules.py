"""Which data and tokenizer options go together."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator

from hydratron.config.schema import Config
from hydratron.errors import Problem

Rule = Callable[[Config], Iterator[Problem]]

DATA_PATHS = {
    "text": "a .txt, .jsonl or .parquet file, or a folder of them",
    "indexed": "a folder of `hydratron prepare`, or the PREFIX of a .bin and an .idx",
    "labelled": "the folder of the task's files, or the one that trains",
}
TOKENIZER_PATHS = {
    "gpt2": "a folder with encoder.json and vocab.bpe, or a tokenizer.json",
    "bert": "vocab.txt or its folder, or a tokenizer.json",
}


def shares(split: str) -> tuple[float, float, float]:
    """`969/30/1`, also with commas, as shares of training, validation and test that add up to 1.

    One or two numbers leave the others at 0.  Raises ValueError saying what is wrong.
    """
    try:
        given = [float(part) for part in split.replace("/", ",").split(",")]
    except ValueError:
        raise ValueError("up to three numbers are expected, e.g. 969/30/1") from None
    if len(given) > 3 or not all(math.isfinite(share) and share >= 0 for share in given):
        raise ValueError("up to three numbers, none negative, are expected, e.g. 969/30/1")
    train, validation, test = given + [0.0] * (3 - len(given))
    if not train or not validation:
        raise ValueError("training and validation need a share above 0, e.g. 969/30/1")
    total = train + validation + test
    return train / total, validation / total, test / total


def _data(config: Config) -> Iterator[Problem]:
    data = config.data
    takes_path = data.source in DATA_PATHS
    if takes_path and not data.path:
        who = f"task={config.task}" if data.source == "labelled" else f"data={data.source}"
        yield Problem("data.path", "null", f"{who} needs {DATA_PATHS[data.source]}")
    elif data.source in ("text", "labelled") and data.path and not os.path.exists(data.path):
        yield Problem("data.path", data.path, "no such file or folder")
    elif not takes_path and data.path:
        expected = "is read with data=text or data=indexed, and in fine-tuning; add data= or task="
        yield Problem("data.path", data.path, expected)


def _split(config: Config) -> Iterator[Problem]:
    if config.data.source not in ("indexed", "blend"):
        return
    try:
        shares(config.data.split)
    except ValueError as error:
        yield Problem("data.split", config.data.split, str(error))


def _blend(config: Config) -> Iterator[Problem]:
    data = config.data
    if data.source != "blend":
        for name in ("paths", "weights"):
            if value := getattr(data, name):
                yield Problem(f"data.{name}", value, "is read with data=blend only; add data=blend")
        return
    if not data.paths:
        yield Problem("data.paths", data.paths, "data=blend needs its sets: data.paths=[a,b]")
    elif data.weights and len(data.weights) != len(data.paths):
        expected = f"one for each of the {len(data.paths)} data.paths, or none"
        yield Problem("data.weights", data.weights, expected)
    positive = all(0 < weight < math.inf for weight in data.weights)
    # A sum that overflows makes every share 0, and a set that is far heavier that of the others.
    if not positive or not all(weight / sum(data.weights) for weight in data.weights):
        expected = (
            "every weight must be above 0, and so must its share of their sum; e.g. [0.7,0.3]"
        )
        yield Problem("data.weights", data.weights, expected)


def _tokenizer(config: Config) -> Iterator[Problem]:
    kind, path = config.tokenizer.kind, config.tokenizer.path
    if kind in TOKENIZER_PATHS and not path:
        yield Problem("tokenizer.path", "null", f"tokenizer={kind} needs {TOKENIZER_PATHS[kind]}")
    elif kind in TOKENIZER_PATHS and path and not os.path.exists(path):
        yield Problem("tokenizer.path", path, "no such file or folder")
    elif kind not in TOKENIZER_PATHS and path:
        expected = "is read with tokenizer=gpt2 or tokenizer=bert only"
        yield Problem("tokenizer.path", path, expected)
    if kind not in TOKENIZER_PATHS and config.tokenizer.eod:
        expected = f"is read with tokenizer=gpt2 or tokenizer=bert; {kind} has its own"
        yield Problem("tokenizer.eod", config.tokenizer.eod, expected)


def _tokenizer_of_data(config: Config) -> Iterator[Problem]:
    kind, source = config.tokenizer.kind, config.data.source
    tokens_exist = source in ("indexed", "blend")
    if kind == "prepared" and not tokens_exist:
        expected = f"data={source} is text: bpe, wordpiece, gpt2 or bert"
        yield Problem("tokenizer.kind", kind, expected)
    elif kind in ("bpe", "wordpiece") and tokens_exist:
        expected = f"data={source} are tokens already: prepared, gpt2 or bert"
        yield Problem("tokenizer.kind", kind, expected)


def _tokenizer_of_model(config: Config) -> Iterator[Problem]:
    kind = config.tokenizer.kind
    if config.model.architecture == "bert" and kind in ("bpe", "gpt2"):
        expected = "BERT needs [CLS], [SEP] and [MASK]: tokenizer=wordpiece or tokenizer=bert"
        yield Problem("tokenizer.kind", kind, expected)


RULES: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("data.source",), _data),
    (("data.source",), _split),
    (("data.source",), _blend),
    (("tokenizer.kind",), _tokenizer),
    (("tokenizer.kind", "data.source"), _tokenizer_of_data),
    (("tokenizer.kind", "model.architecture"), _tokenizer_of_model),
)
