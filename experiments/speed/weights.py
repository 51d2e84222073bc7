"""Our initial weights by the names that the peers give them, so that all start from one model.

Every name of ours -> a tensor of one process; rows of query, key and value are (heads, 3, d) here
and in megatron-core, (3, heads, d) in the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]

NANO = {
    "attention.norm": "attention_norm",
    "attention.sublayer.query_key_value": "qkv",
    "attention.sublayer.dense": "proj",
    "mlp.norm": "mlp_norm",
    "mlp.sublayer.dense_h_to_4h": "up",
    "mlp.sublayer.dense_4h_to_h": "down",
}
HUGGINGFACE = dict(zip(NANO, ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2"), strict=False)) | {
    "mlp.sublayer.dense_h_to_4h": "mlp.c_fc",
    "mlp.sublayer.dense_4h_to_h": "mlp.c_proj",
}
LITGPT = dict(zip(NANO, ("norm_1", "attn.qkv", "attn.proj", "norm_2"), strict=False)) | {
    "mlp.sublayer.dense_h_to_4h": "mlp.fc",
    "mlp.sublayer.dense_4h_to_h": "mlp.proj",
}
MEGATRON = {
    "attention.norm": "input_layernorm",
    "attention.sublayer.query_key_value": "self_attention.linear_qkv",
    "attention.sublayer.dense": "self_attention.linear_proj",
    "mlp.norm": "pre_mlp_layernorm",
    "mlp.sublayer.dense_h_to_4h": "mlp.linear_fc1",
    "mlp.sublayer.dense_4h_to_h": "mlp.linear_fc2",
}


def for_nano(ours: Weights, heads: int, by_head: bool) -> dict[str, Tensor]:
    """For `Nano`; its head shares the words' tensor."""
    found = dict(_layers(ours, NANO, "blocks", heads, by_head))
    found["words.weight"] = found["head.weight"] = ours["word_embeddings.weight"]
    found["positions.weight"] = ours["position_embeddings"]
    return found | _final(ours, "final_norm")


def for_huggingface(ours: Weights, heads: int) -> dict[str, Tensor]:
    """For GPT2LMHeadModel, whose linear layers hold the transpose."""
    found = dict(_layers(ours, HUGGINGFACE, "transformer.h", heads, by_head=False))
    linear = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    found = {name: x.t().contiguous() if name.endswith(linear) else x for name, x in found.items()}
    found["transformer.wte.weight"] = found["lm_head.weight"] = ours["word_embeddings.weight"]
    found["transformer.wpe.weight"] = ours["position_embeddings"]
    return found | _final(ours, "transformer.ln_f")


def for_litgpt(ours: Weights, heads: int) -> dict[str, Tensor]:
    """For its GPT, which has no learned positions: it is not the same model."""
    found = dict(_layers(ours, LITGPT, "transformer.h", heads, by_head=False))
    found["transformer.wte.weight"] = found["lm_head.weight"] = ours["word_embeddings.weight"]
    return found | _final(ours, "transformer.ln_f")


def for_megatron(ours: Weights, rank: int, ranks: int) -> dict[str, Tensor]:
    """One rank's part for megatron-core's GPTModel, its head the words' tensor."""
    found = dict(_layers(ours, MEGATRON, "decoder.layers", 0, by_head=True))
    found["embedding.word_embeddings.weight"] = ours["word_embeddings.weight"]
    found["output_layer.weight"] = ours["word_embeddings.weight"]
    found["embedding.position_embeddings.weight"] = ours["position_embeddings"]
    rows = ("linear_qkv.weight", "linear_qkv.bias", "linear_fc1.weight", "linear_fc1.bias")
    rows += ("word_embeddings.weight", "output_layer.weight")
    columns = ("linear_proj.weight", "linear_fc2.weight")
    for name, whole in found.items():
        dim = 0 if name.endswith(rows) else 1 if name.endswith(columns) else None
        found[name] = whole if dim is None else whole.chunk(ranks, dim)[rank].contiguous()
    return found | _final(ours, "decoder.final_layernorm")


def _final(ours: Weights, name: str) -> dict[str, Tensor]:
    return {f"{name}.{part}": ours[f"final_norm.{part}"] for part in ("weight", "bias")}


def _layers(
    ours: Weights, names: Mapping[str, str], under: str, heads: int, by_head: bool
) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in ours.items():
        if not name.startswith("layers."):
            continue
        _, layer, rest = name.split(".", 2)
        module, _, part = rest.rpartition(".")
        moved = tensor
        if module.endswith("query_key_value") and not by_head:
            moved = torch.stack(tensor.unflatten(0, (heads, 3, -1)).unbind(1)).flatten(0, 2)
        yield f"{under}.{layer}.{names[module]}.{part}", moved
