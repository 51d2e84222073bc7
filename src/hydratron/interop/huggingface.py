"""A folder of Hugging Face's: config.json, safetensors in one file or several, and a tokenizer.

Needs `safetensors`, which comes with the extra [huggingface].  Nothing of a folder runs: its
classes are chosen by us, remote code is never asked for, and pickles (.bin) are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hydratron.config import huggingface as options
from hydratron.config.huggingface import BERT, GPT2, MEGATRON_BERT, Foreign
from hydratron.data.samples.bert_tokens import PAD
from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import HydratronError
from hydratron.interop import tokenizers
from hydratron.interop.model import HEADS, Model, check, finite
from hydratron.interop.names import (
    BERT_HEADS,
    FINE_TUNED_HEADS,
    PREFIX,
    from_huggingface,
    to_huggingface,
)
from hydratron.job import VALID_NAME, read_json, write_json
from hydratron.tasks.table import row_of

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
# A vocabulary may be padded by fewer rows than these, or than a tenth of it: 50,257 to 51,200 is
# padding, 1,024 rows are not a tokenizer's of 300 entries.
PADDING = 128
SHARD_BYTES = 5 * 10**9
EXTRA = "pip install 'hydratron[huggingface]'"
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
# By family and by which of HEADS there are: the class that has these tensors and no others.
CLASSES: dict[tuple[str, tuple[str, ...]], str] = {
    (GPT2, ()): "GPT2LMHeadModel",
    (BERT, HEADS): "BertForPreTraining",
    (BERT, ("lm_head",)): "BertForMaskedLM",
    (BERT, ("pooler",)): "BertModel",
    (BERT, ()): "BertModel",
    (BERT, ("pooler", "classification_head")): "BertForSequenceClassification",
    (BERT, ("pooler", "multichoice_head")): "BertForMultipleChoice",
    (BERT, ("span_head",)): "BertForQuestionAnswering",
    (MEGATRON_BERT, ("pooler", "classification_head")): "MegatronBertForSequenceClassification",
    (MEGATRON_BERT, ("pooler", "multichoice_head")): "MegatronBertForMultipleChoice",
    (MEGATRON_BERT, ("span_head",)): "MegatronBertForQuestionAnswering",
    (MEGATRON_BERT, HEADS): "MegatronBertForPreTraining",
    (MEGATRON_BERT, ("lm_head",)): "MegatronBertForMaskedLM",
    (MEGATRON_BERT, ("pooler",)): "MegatronBertModel",
    (MEGATRON_BERT, ()): "MegatronBertModel",
}


def class_of(family: str, model: Model) -> str:
    """The class of transformers that has this model's tensors and no others."""
    found = CLASSES.get((family, model.heads))
    if found is None:
        told = ", ".join(model.heads)
        raise HydratronError(f"{family}: no model of Hugging Face's has the heads {told} alone")
    return found


def read(folder: Path, tokenizer: Tokenizer | None = None) -> tuple[Model, Foreign]:
    """The model of a folder, with its own tokenizer unless another is given.

    Raises HydratronError with one line: a key or a tensor that does not map, a file that is cut or
    damaged, a tokenizer of another size.
    """
    foreign = options.read(folder)
    tokenizer = tokenizer or tokenizers.read(folder)
    found = dict(_unprefixed(foreign.family, _tensors(folder)))
    for name in ("embeddings.word_embeddings.weight", "wte.weight"):
        if name in found and len(found[name]) != foreign.vocab_size:
            said = f"vocab_size={foreign.vocab_size}, but {name} has {len(found[name])} rows"
            raise HydratronError(f"{folder / options.CONFIG}: {said}")
    try:
        tensors = from_huggingface(found, foreign.model, foreign.family, str(folder))
    except RuntimeError as error:  # A shape that cannot be what its name says.
        raise HydratronError(f"{folder}: {str(error).splitlines()[0]}") from None
    model = Model(foreign.model, tensors, tokenizer)
    check(str(folder), model)
    rows, entries = foreign.vocab_size, tokenizer.vocab_size
    if rows - entries >= max(PADDING, entries / 10):
        said = f"a vocabulary of {rows} rows, but its tokenizer has {entries} entries"
        raise HydratronError(f"{folder}: {said}")
    finite(str(folder), tensors)
    return model, foreign


def write(folder: Path, model: Model, shard_bytes: int = SHARD_BYTES) -> None:
    """Fill the empty `folder` with the model; a file of it holds at most `shard_bytes`, unless one
    tensor has more."""
    family = options.family_of(model.options)
    chosen = class_of(family, model)
    found = to_huggingface(model.raw(), model.options, family)
    if not chosen.endswith("Model") or family == GPT2:
        head = (*BERT_HEADS.values(), *FINE_TUNED_HEADS.values())
        found = {n if n.startswith(head) else PREFIX[family] + n: t for n, t in found.items()}
    _write_tensors(folder, found, shard_bytes)
    special = _special(model, family)
    std = model.options.init_std or 0.02
    content: dict[str, Any] = {"architectures": [chosen]}
    content |= options.written(model.options, std, model.vocab_size, special)
    if "classification_head" in model.heads:
        learnt: Any = row_of(model.task, model.options.architecture).task()
        names = learnt.names
        content["id2label"] = {str(number): name for number, name in enumerate(names)}
        content["label2id"] = {name: number for number, name in enumerate(names)}
    write_json(folder / options.CONFIG, content)
    if family == GPT2:
        ends = {key: special[key] for key in ("bos_token_id", "eos_token_id")}
        write_json(folder / "generation_config.json", ends)
    tokenizers.write(folder, model.tokenizer, family, model.options.seq_length)


def loaded(folder: Path, model: Model, whole: bool) -> Any:
    """What transformers makes of the folder, in evaluation, with the class of `model`'s tensors.

    Raises HydratronError where it lacks a parameter or draws one anew; with `whole` also where
    the folder has one that it does not use.
    """
    family = options.read(folder).family
    name = class_of(family, model)
    library = transformers()
    more = {"add_pooling_layer": "pooler" in model.heads} if name.endswith("BertModel") else {}
    # Nothing of the folder is asked which class it is, nor for code of its own.
    made, said = getattr(library, name).from_pretrained(
        folder, local_files_only=True, use_safetensors=True, output_loading_info=True,
        torch_dtype=torch.float32, **more,
    )  # fmt: skip
    for kind in ("missing_keys", "mismatched_keys", "error_msgs", "unexpected_keys"):
        if said.get(kind) and (whole or kind != "unexpected_keys"):
            told = ", ".join(map(str, list(said[kind])[:3]))
            raise HydratronError(f"{folder}: transformers reports {kind}: {told}")
    return made.eval()


def transformers() -> Any:
    """The library, which conversions are compared with; HydratronError where it is missing."""
    try:
        library = import_module("transformers")
    except ImportError:
        said = "is compared with what transformers computes, which is not installed"
        raise HydratronError(f"a conversion {said}: {EXTRA}") from None
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    return library


def _unprefixed(family: str, tensors: Iterator[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Old GPT-2s and bare encoders have no prefix; all else has."""
    for name, tensor in tensors:
        yield name.removeprefix(PREFIX[family]), tensor


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the folder by its name, file by file."""
    library = _safetensors()
    for file, names in _files(folder).items():
        try:
            with library.safe_open(file, framework="pt") as opened:
                there = set(opened.keys())
                for name in sorted(there if names is None else names):
                    if name not in there:
                        raise HydratronError(f"{file}: lacks {name}, which {INDEX} promises")
                    tensor = opened.get_tensor(name)
                    if tensor.dtype not in FLOATS and not name.endswith("position_ids"):
                        kind = str(tensor.dtype).removeprefix("torch.")
                        if kind not in ("bool", "uint8", "int64"):  # Old masks are buffers.
                            raise HydratronError(f"{file}: {name} is of {kind}, not of floats")
                    yield name, tensor
        except library.SafetensorError as error:
            raise HydratronError(f"{file}: cut or damaged: {error}") from None
        except FileNotFoundError:
            raise HydratronError(f"{file}: no such file, but {INDEX} names it") from None


def _files(folder: Path) -> dict[Path, list[str] | None]:
    """The files of the folder's tensors, and which tensors are in each; None is all."""
    if (folder / SINGLE).is_file():
        return {folder / SINGLE: None}
    file = folder / INDEX
    if not file.is_file():
        if (folder / PICKLE).exists():
            expected = "a pickle, which is not read; save it again as safetensors"
            raise HydratronError(f"{folder / PICKLE}: {expected}")
        raise HydratronError(f"{folder}: has no {SINGLE}, nor {INDEX}")
    try:
        index = (read_json(file) or {})["weight_map"]
        places = {str(name): str(place) for name, place in index.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise HydratronError(f"{file}: cannot be read: {error!r}") from None
    found: dict[Path, list[str] | None] = {}
    for name, place in places.items():
        if not VALID_NAME.fullmatch(place) or not place.endswith(".safetensors"):
            raise HydratronError(f"{file}: {place!r} is not a .safetensors file of this folder")
        names = found.setdefault(folder / place, [])
        assert names is not None
        names.append(name)
    return found


def _write_tensors(folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int) -> None:
    save = import_module("safetensors.torch").save_file
    shards: list[dict[str, Tensor]] = [{}]
    size = total = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > shard_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size, total = size + tensor.nbytes, total + tensor.nbytes
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        place = SINGLE
        if len(shards) > 1:
            place = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save(shard, folder / place, metadata={"format": "pt"})
        places |= dict.fromkeys(shard, place)
    if len(shards) > 1:
        metadata = {"total_size": total}
        index = json.dumps({"metadata": metadata, "weight_map": places}, indent=2, sort_keys=True)
        (folder / INDEX).write_text(index + "\n", encoding="utf-8")


def _special(model: Model, family: str) -> dict[str, int | None]:
    if family == GPT2:
        return {"bos_token_id": model.tokenizer.eod, "eos_token_id": model.tokenizer.eod}
    return {"pad_token_id": model.tokenizer.token_id(PAD)}


def _safetensors() -> Any:
    try:
        return import_module("safetensors")
    except ImportError:
        said = "is read with safetensors, which is not installed"
        raise HydratronError(f"a folder of Hugging Face's {said}: {EXTRA}") from None
