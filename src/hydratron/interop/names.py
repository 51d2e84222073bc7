"""What Hugging Face's models call our tensors, and how each lies there.

Shapes: h hidden, a heads, d = h / a.  GPT-2's `Conv1D` holds the transpose of our matrices; all
others lie as ours do.  Our rows of query_key_value are (a, 3, d), theirs are (3, a, d).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from hydratron.config.huggingface import BERT, GPT2, MEGATRON_BERT
from hydratron.config.model import ModelConfig
from hydratron.errors import HydratronError
from hydratron.models.placements import PLACEMENTS

QKV = "attention.sublayer.query_key_value"
# Before the names of the trunk, in a model that has more than a trunk.
PREFIX = {GPT2: "transformer.", BERT: "bert.", MEGATRON_BERT: "bert."}
BERT_HEADS = {
    "lm_head.dense": "cls.predictions.transform.dense",
    "lm_head.norm": "cls.predictions.transform.LayerNorm",
    "lm_head.bias": "cls.predictions.bias",
    "binary_head": "cls.seq_relationship",
}
# Of models that were fine-tuned here; which of them a folder's `classifier` is, its class says.
FINE_TUNED_HEADS = {
    "classification_head.dense": "classifier",
    "multichoice_head.dense": "classifier",
    "span_head": "qa_outputs",
}
_BERT_LAYER = {
    "attention.sublayer.dense": "attention.output.dense",
    "mlp.sublayer.dense_h_to_4h": "intermediate.dense",
    "mlp.sublayer.dense_4h_to_h": "output.dense",
}
# Of a layer; then those of the whole trunk.
LAYER: dict[str, dict[str, str]] = {
    GPT2: {
        "attention.norm": "ln_1",
        "attention.sublayer.dense": "attn.c_proj",
        "mlp.norm": "ln_2",
        "mlp.sublayer.dense_h_to_4h": "mlp.c_fc",
        "mlp.sublayer.dense_4h_to_h": "mlp.c_proj",
    },
    BERT: _BERT_LAYER
    | {"attention.norm": "attention.output.LayerNorm", "mlp.norm": "output.LayerNorm"},
    MEGATRON_BERT: _BERT_LAYER | {"attention.norm": "attention.ln", "mlp.norm": "ln"},
}
_BERT_TRUNK = {
    "word_embeddings.weight": "embeddings.word_embeddings.weight",
    "position_embeddings": "embeddings.position_embeddings.weight",
    "tokentype_embeddings": "embeddings.token_type_embeddings.weight",
    "pooler": "pooler.dense",
}
TRUNK: dict[str, dict[str, str]] = {
    GPT2: {
        "word_embeddings.weight": "wte.weight",
        "position_embeddings": "wpe.weight",
        "final_norm": "ln_f",
    },
    BERT: _BERT_TRUNK | {"embedding_norm": "embeddings.LayerNorm"},
    MEGATRON_BERT: _BERT_TRUNK | {"final_norm": "encoder.ln"},
}
BARE = ("word_embeddings.weight", "position_embeddings", "tokentype_embeddings", "lm_head.bias")
# A copy of another tensor, where nothing is untied: (family's name, whose copy).
TIED = {
    "lm_head.weight": "wte.weight",
    "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
# Constants that old versions wrote.
BUFFERS = ("embeddings.position_ids", ".attn.bias", ".attn.masked_bias")


@dataclass(frozen=True)
class Entry:
    """One tensor of ours, or with `qkv` three in one; `theirs` are without PREFIX."""

    ours: str
    theirs: tuple[str, ...]
    transposed: bool = False
    qkv: bool = False


def entries(
    family: str, num_layers: int, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Entry]:
    """Every tensor of a model of this family, heads included, with `more` heads."""
    heads = {} if family == GPT2 else {**BERT_HEADS, **more}
    for ours, theirs in (TRUNK[family] | heads).items():
        for end in ("",) if ours in BARE else (".weight", ".bias"):
            yield Entry(ours + end, (theirs + end,))
    for number in range(num_layers):
        place = f"h.{number}." if family == GPT2 else f"encoder.layer.{number}."
        for end in (".weight", ".bias"):
            across = family == GPT2 and end == ".weight"
            for ours, theirs in LAYER[family].items():
                flips = across and not ours.endswith("norm")
                yield Entry(f"layers.{number}.{ours}{end}", (place + theirs + end,), flips)
            parts = ["attn.c_attn"]
            if family != GPT2:
                parts = [f"attention.self.{part}" for part in ("query", "key", "value")]
            names = tuple(place + part + end for part in parts)
            yield Entry(f"layers.{number}.{QKV}{end}", names, across, qkv=True)


def to_huggingface(
    tensors: Mapping[str, Tensor], options: ModelConfig, family: str
) -> dict[str, Tensor]:
    """Their tensors, without PREFIX, of those of ours that are there."""
    heads, scale = options.num_attention_heads, stream_scale(options)
    found: dict[str, Tensor] = {}
    for entry in entries(family, options.num_layers, FINE_TUNED_HEADS):
        if entry.ours not in tensors:
            continue
        value = tensors[entry.ours]
        if entry.qkv:
            value = value.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)
        if scale != 1.0 and ("sublayer.dense." in entry.ours or "dense_4h_to_h." in entry.ours):
            value = value / scale  # LN(s x + f) = LN(x + f / s)
        if entry.transposed:
            value = value.T
        parts = value.chunk(len(entry.theirs))
        found.update(
            (name, part.contiguous()) for name, part in zip(entry.theirs, parts, strict=True)
        )
    return found


def from_huggingface(
    found: Mapping[str, Tensor], options: ModelConfig, family: str, where: str
) -> dict[str, Tensor]:
    """Our tensors, fp32, of theirs by their names without PREFIX; heads may be missing.

    Raises HydratronError naming a tensor that does not map, is missing or is not tied.
    """
    heads, rest, tensors = options.num_attention_heads, dict(found), {}
    for entry in entries(family, options.num_layers):
        present = [name for name in entry.theirs if name in rest]
        if present and len(present) < len(entry.theirs):
            lacking = next(name for name in entry.theirs if name not in rest)
            raise HydratronError(f"{where}: {lacking} is missing")
        if not present:
            continue
        parts = [rest.pop(name).float() for name in entry.theirs]
        value = parts[0] if len(parts) == 1 else torch.cat(parts)
        if entry.transposed:
            value = value.T
        if entry.qkv:
            if len(value) != 3 * options.hidden_size:
                raise HydratronError(f"{where}: {entry.theirs[0]} is {list(parts[0].shape)}")
            value = value.unflatten(0, (3, heads, -1)).transpose(0, 1).flatten(0, 2)
        tensors[entry.ours] = value.contiguous()
    for name, tensor in rest.items():
        source = found.get(TIED.get(name, ""))
        if source is not None and source.equal(tensor):
            continue
        if source is not None:
            raise HydratronError(f"{where}: {name} is not tied to {TIED[name]}; ours always is")
        if not name.endswith(BUFFERS):
            raise HydratronError(f"{where}: {name} does not map")
    return tensors


def stream_scale(options: ModelConfig) -> float:
    """The factor on the residual stream."""
    norm = options.layernorm
    own = PLACEMENTS[norm.placement].residual_scale(options.num_layers)
    return own if norm.residual_scale is None else norm.residual_scale
