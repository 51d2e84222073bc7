"""Tiny models of every family, with no value at a special place, and folders of other formats."""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hydratron.config.model import LayerNormConfig, ModelConfig
from hydratron.data.tokenizer import Tokenizer, train_bpe, train_wordpiece
from hydratron.interop.model import Model, built

WORDS = ("the", "people", "of", "these", "states", "hold", "that", "liberty", "and", "union", "ago")
LAYERS, HIDDEN, HEADS, SEQ = 3, 32, 4, 48
# (architecture, placement, gelu) of each family.
FAMILIES = {
    "gpt2": ("gpt", "pre", "tanh"),
    "gpt2-erf": ("gpt", "pre", "erf"),
    "bert": ("bert", "post", "erf"),
    "megatron-bert": ("bert", "pre", "erf"),
}


@cache
def tokenizer(architecture: str) -> Tokenizer:
    """Of 300 entries for GPT, of fewer for BERT."""
    texts = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 40)) for i in range(1, 60)]
    return train_bpe(texts, 270) if architecture == "gpt" else train_wordpiece(texts, 60)


def options(family: str, **changes: Any) -> ModelConfig:
    """A model of this family; `eps` is no default of anybody's."""
    architecture, placement, gelu = FAMILIES[family]
    norm = LayerNormConfig(placement=placement, eps=changes.pop("eps", 3e-5))
    shape = {"num_layers": LAYERS, "hidden_size": HIDDEN, "num_attention_heads": HEADS}
    more = {"seq_length": SEQ, "vocab_multiple": 64, "dropout": 0.0, "init_std": 0.1}
    made: dict[str, Any] = {**shape, **more, "gelu": gelu, **changes}
    return ModelConfig(name="tiny", architecture=architecture, layernorm=norm, **made)


def model(family: str, seed: int = 0, **changes: Any) -> Model:
    """Random weights, biases and LayerNorms."""
    made = options(family, **changes)
    return drawn(made, tokenizer(made.architecture), seed)


def drawn(made: ModelConfig, words: Tokenizer, seed: int = 0) -> Model:
    """The same for any options."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(parameter.shape, generator=generator) * 0.3
        for name, parameter in built(made, words.vocab_size).named_parameters()
    }
    return Model(made, tensors, words)


def without(made: Model, *heads: str) -> Model:
    """The same without some heads."""
    left = {n: t for n, t in made.tensors.items() if not n.startswith(heads)}
    return Model(made.options, left, made.tokenizer)


def megatron_rank(made: Model, rank: int, ranks: int, version: float) -> dict[str, Tensor]:
    """One rank's tensors by the names of the old format, cut as Megatron-LM cuts them."""
    found: dict[str, Tensor] = {}
    for name, tensor in made.tensors.items():
        if "query_key_value" in name:
            q, k, v = tensor.unflatten(0, (HEADS, 3, -1)).unbind(1)  # each [a, d, ...]
            q, k, v = (part.chunk(ranks)[rank] for part in (q, k, v))
            if version < 1:
                piece = torch.cat([q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)])
            elif version < 2:
                piece = torch.stack([q, k, v], dim=2).flatten(0, 2)
            else:
                piece = torch.stack([q, k, v], dim=1).flatten(0, 2)
        elif name.endswith(("dense_h_to_4h.weight", "dense_h_to_4h.bias")) or name in (
            "word_embeddings.weight", "lm_head.bias",
        ):  # fmt: skip
            piece = tensor.chunk(ranks)[rank]
        elif name.endswith(("sublayer.dense.weight", "dense_4h_to_h.weight")):
            piece = tensor.chunk(ranks, dim=1)[rank]
        else:
            piece = tensor
        found[_old(name)] = piece.clone()
    return found


def _old(name: str) -> str:
    for ours, theirs in (
        ("attention.norm", "input_layernorm"),
        ("mlp.norm", "post_attention_layernorm"),
        ("attention.sublayer", "attention"),
        ("mlp.sublayer", "mlp"),
        ("lm_head.norm", "lm_head.layernorm"),
        ("layers.", "transformer.layers."),
        ("final_norm", "transformer.final_layernorm"),
        ("pooler.", "pooler.dense."),
    ):
        name = name.replace(ours, theirs)
    if name in ("word_embeddings.weight", "position_embeddings", "tokentype_embeddings"):
        name = f"embedding.{name.removesuffix('.weight')}.weight"
    return name


def write_legacy(
    folder: Path, made: Model, ranks: int, version: float | None, args: Mapping[str, Any] | None
) -> Path:
    """A folder of v1.0 to v2.6: nested as there, the tracker beside the iteration."""
    for rank in range(ranks):
        language: dict[str, Any] = {}
        content: dict[str, Any] = {"model": {"language_model": language}, "iteration": 7}
        for name, tensor in megatron_rank(made, rank, ranks, version or 0).items():
            first, _, rest = name.partition(".")
            if first == "embedding":
                table = rest.removesuffix(".weight")
                language.setdefault("embedding", {})[table] = OrderedDict(weight=tensor)
            else:
                at = content["model"] if first in ("lm_head", "binary_head") else language
                at.setdefault(first, OrderedDict())[rest] = tensor
        if version is not None:
            content["checkpoint_version"] = version
        if args is not None:
            content["args"] = Namespace(**args)
        place = folder / "iter_0000007" / f"mp_rank_{rank:02d}"
        place.mkdir(parents=True)
        torch.save(content, place / "model_optim_rng.pt")
    (folder / "latest_checkpointed_iteration.txt").write_text("7")
    return folder


ARGS = {
    "num_layers": LAYERS,
    "num_attention_heads": HEADS,
    "layernorm_epsilon": 3e-5,
    "bias_gelu_fusion": True,
    "apply_residual_connection_post_layernorm": False,
    "params_dtype": torch.float16,
}
