"""`init_from=`: the model and the tokenizer of the weights that a new run starts from.

Both are as they are there, unless the command states them; what the weights depend on may then not
differ.  The depth may: layers are taken by their number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydratron.config import huggingface
from hydratron.config.huggingface import is_huggingface
from hydratron.config.keys import options, set_value, value_of
from hydratron.config.load import load
from hydratron.config.model import ModelConfig
from hydratron.config.resume import config_file
from hydratron.config.schema import Config
from hydratron.errors import ConfigError, HydratronError, Problem
from hydratron.job import named_checkpoint

# What weights mean nothing without.
BOUND = (
    "model.architecture",
    "model.hidden_size",
    "model.num_attention_heads",
    "model.ffn_hidden_size",
    "model.gelu",
    "model.layernorm.placement",
    "model.layernorm.norm",
    "model.layernorm.residual_scale",
    "model.layernorm.eps",
)
TOKENIZER = "tokenizer.json"
EXPECTED = (
    "a job folder with checkpoints/step_*, one of those, or a folder of Hugging Face's with a "
    "config.json; of Megatron-LM's checkpoints `hydratron convert` makes one"
)


def adopt(composed: Config, named: Collection[str]) -> Config:
    """The configuration with the model and the tokenizer of its weights, where `named` has neither.

    Where nothing can be read it stays as it is, for `init_problems` to say so.
    """
    assert composed.init_from is not None
    # The command may be given again from another folder.
    path = Path(composed.init_from).resolve()
    config = replace(composed, init_from=str(path))
    try:
        model = model_of(path)
    except HydratronError:
        return config
    if model is None:
        return config
    config.model = replace(config.model, layernorm=replace(config.model.layernorm))
    for key in options():
        if key.startswith("model.") and key not in named:
            set_value(config, key, value_of(Config(model=model), key))
    place = tokenizer_of(path)
    stated = any(key.startswith("tokenizer.") for key in named)
    if place is not None and not stated and config.data.source in ("sotu", "text", "labelled"):
        kind = "gpt2" if model.architecture == "gpt" else "bert"
        config.tokenizer = replace(config.tokenizer, kind=kind, path=str(place), eod=None)
    return config


def model_of(path: Path) -> ModelConfig | None:
    """The options of the weights in `path`, or None where there are none.

    Raises HydratronError where they cannot be read or do not map.
    """
    if named_checkpoint(path) is not None:
        return load(config_file(path)).model
    return huggingface.read(path).model if is_huggingface(path) else None


def tokenizer_of(path: Path) -> Path | None:
    """The file or folder for `tokenizer.path` that belongs to the weights in `path`."""
    place = named_checkpoint(path) or path
    if (place / TOKENIZER).is_file():
        return place / TOKENIZER
    known = ("vocab.txt", "vocab.json")
    return place if any((place / name).is_file() for name in known) else None


def init_problems(config: Config) -> Iterator[Problem]:
    """What is wrong with `init_from`, and with options that its weights do not fit."""
    if config.init_from is None:
        if config.init_checkpoint is not None:
            expected = "is filled in by init_from=, which names the weights"
            yield Problem("init_checkpoint", config.init_checkpoint, expected)
        return
    if config.resume is not None:
        expected = "starts a new run, and resume= goes on with one: drop one of them"
        yield Problem("init_from", config.init_from, expected)
        return
    path = Path(config.init_from)
    if not path.is_dir():
        yield Problem("init_from", config.init_from, "no such folder")
        return
    try:
        model = model_of(path)
    except ConfigError as error:
        yield from error.problems
        return
    except HydratronError as error:
        yield Problem("init_from", config.init_from, str(error))
        return
    if model is None:
        yield Problem("init_from", config.init_from, EXPECTED)
        return
    needed = config.learning.architecture
    if model.architecture != needed:
        expected = f"is of {model.architecture}; task={config.task} learns with "
        yield Problem("init_from", config.init_from, f"{expected}model.architecture={needed}")
        return
    source = Config(model=model)
    for key in BOUND:
        there, here = _meant(source, key), _meant(config, key)
        if there != here:
            yield Problem(key, here, f"init_from has {there}, with which its weights were trained")
    if config.model.seq_length > model.seq_length:
        expected = f"at most {model.seq_length}, the positions that init_from has"
        yield Problem("model.seq_length", config.model.seq_length, expected)


def _meant(config: Config, key: str) -> Any:
    value = value_of(config, key)
    if key == "model.ffn_hidden_size" and value is None:
        return 4 * config.model.hidden_size
    return value
