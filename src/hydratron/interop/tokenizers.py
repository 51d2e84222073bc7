"""Tokenizer files of Hugging Face's folders, in and out.

What we write gives the same ids there as here, also for a text that spells a special entry; the
comparison that ends a conversion (`comparison.py`) holds it to that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hydratron.config.huggingface import GPT2
from hydratron.data.samples.bert_tokens import CLS, MASK, PAD, SEP
from hydratron.data.tokenizer import Tokenizer, open_bert, open_gpt2
from hydratron.data.tokenizer.wordpiece import UNKNOWN
from hydratron.errors import HydratronError
from hydratron.job import read_json, write_text

TOKENIZER, CONFIG, SPECIAL = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
FILES = f"{TOKENIZER}, vocab.json with merges.txt, or vocab.txt"


def opened(spec: str) -> Tokenizer:
    """The tokenizer that `--tokenizer` names: gpt2:PATH, bert:PATH, a tokenizer.json, or a folder
    of Hugging Face's files.  Raises HydratronError."""
    kind, _, path = spec.partition(":")
    if path and kind in ("gpt2", "bert"):
        return (open_gpt2 if kind == "gpt2" else open_bert)(path)
    if Path(spec).is_dir():
        return read(Path(spec))
    try:
        return Tokenizer.load(Path(spec))
    except ValueError as error:
        raise HydratronError(f"--tokenizer {spec}: {' '.join(str(error).split())}") from None


def read(folder: Path) -> Tokenizer:
    """The tokenizer of a folder of Hugging Face's.  Raises HydratronError where there is none that
    we compute alike."""
    end = _end(folder)
    try:
        if (folder / TOKENIZER).is_file():
            return Tokenizer.load(folder / TOKENIZER, end)
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            return open_gpt2(str(folder), end)
        if (folder / "vocab.txt").is_file():
            if _settings(folder).get("do_lower_case", True) is not True:
                expected = "do_lower_case=false does not map; a tokenizer.json would"
                raise HydratronError(f"{folder / CONFIG}: {expected}")
            return open_bert(str(folder), end)
    except ValueError as error:
        raise HydratronError(" ".join(str(error).split())) from None
    raise HydratronError(f"{folder}: has no tokenizer ({FILES}); name one by --tokenizer")


def write(folder: Path, tokenizer: Tokenizer, family: str, positions: int) -> None:
    """`tokenizer.json` and what makes transformers read it alike."""
    content = json.loads(tokenizer.to_json())
    settings: dict[str, Any] = {
        "model_max_length": positions,
        "clean_up_tokenization_spaces": False,
    }
    if content["model"].get("type") == "WordPiece":
        # Its own classes add [CLS] and [SEP] by this; our file has none, since samples add them.
        content["post_processor"] = _template(tokenizer)
        settings |= {"tokenizer_class": "BertTokenizer", "do_lower_case": _lowers(content)}
        special = {"unk": UNKNOWN, "sep": SEP, "pad": PAD, "cls": CLS, "mask": MASK}
    else:
        kind = "GPT2Tokenizer" if _is_byte_level(content) else "PreTrainedTokenizerFast"
        settings |= {"tokenizer_class": kind, "add_prefix_space": False}
        names = ("bos", "eos", "unk") if kind == "GPT2Tokenizer" else ("bos", "eos")
        end = tokenizer.end
        special = dict.fromkeys(names, end) if end is not None else {}
    if family != GPT2:
        settings["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    named = {f"{name}_token": entry for name, entry in special.items()}
    # Ours never reads a special entry in a text that spells it.
    settings |= {**named, "split_special_tokens": True}
    for name, text in ((TOKENIZER, content), (CONFIG, settings), (SPECIAL, named)):
        write_text(folder / name, json.dumps(text, indent=2, ensure_ascii=False) + "\n")


def _template(tokenizer: Tokenizer) -> dict[str, Any]:
    """[CLS] A [SEP], or [CLS] A [SEP] B [SEP] with B and its [SEP] of type 1."""

    def special(name: str, kind: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": kind}}

    def text(name: str, kind: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": kind}}

    single = [special(CLS, 0), text("A", 0), special(SEP, 0)]
    ids = {name: tokenizer.token_id(name) for name in (CLS, SEP)}
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, text("B", 1), special(SEP, 1)],
        "special_tokens": {n: {"id": n, "ids": [i], "tokens": [n]} for n, i in ids.items()},
    }


def _lowers(content: dict[str, Any]) -> bool:
    return bool((content.get("normalizer") or {}).get("lowercase", False))


def _is_byte_level(content: dict[str, Any]) -> bool:
    splitter = content.get("pre_tokenizer") or {}
    return content["model"].get("type") == "BPE" and splitter.get("type") == "ByteLevel"


def _settings(folder: Path) -> dict[str, Any]:
    try:
        found = read_json(folder / CONFIG)
    except (OSError, ValueError) as error:
        raise HydratronError(f"{folder / CONFIG}: cannot be read: {error}") from None
    return found if isinstance(found, dict) else {}


def _end(folder: Path) -> str | None:
    """The entry that ends a document, where the folder's eos_token names one."""
    named = _settings(folder).get("eos_token")
    if isinstance(named, dict):  # An AddedToken.
        named = named.get("content")
    return named if isinstance(named, str) else None
