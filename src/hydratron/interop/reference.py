"""What Megatron-LM computes, from the tensors of its ranks as they lie in its files.

Written apart from `layout.py` and our networks, so that both
agree only where a conversion is right: each rank computes its heads and its columns, and what f and
g do between ranks is a loop and a sum here.

Shapes: b batch, s sequence, h hidden, a heads, d = h / a, t ranks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hydratron.interop.comparison import Batch
from hydratron.interop.layout import Parts
from hydratron.interop.model import Model

Rank = Mapping[str, Tensor]


def outputs(parts: Parts, model: Model, texts: Batch, dtype: torch.dtype) -> dict[str, Tensor]:
    """The outputs that `comparison.compare` asks for."""
    ranks = [{name: tensor.to(dtype) for name, tensor in rank.items()} for rank in parts.ranks]
    options, first = model.options, ranks[0]
    bert = options.architecture == "bert"
    words = torch.cat([rank["embedding.word_embeddings.weight"] for rank in ranks])  # [V, h]
    eps, tanh = options.layernorm.eps, options.gelu == "tanh"
    x = words[texts.tokens]
    x = x + first["embedding.position_embeddings.weight"][: texts.tokens.shape[1]]
    if bert:
        x = x + first["embedding.tokentype_embeddings.weight"][texts.types]
    allowed = texts.mask.bool()[:, None, None, :]  # [b, 1, 1, s]
    if not bert:
        s = texts.tokens.shape[1]
        allowed = torch.ones(s, s, dtype=torch.bool).tril()
    for number in range(options.num_layers):
        place = f"transformer.layers.{number}."
        y = _norm(x, first, place + "input_layernorm", eps)
        x = x + _attention(y, ranks, place + "attention.", parts, allowed)
        y = _norm(x, first, place + "post_attention_layernorm", eps)
        x = x + _mlp(y, ranks, place + "mlp.", tanh)
    x = _norm(x, first, "transformer.final_layernorm", eps)
    seen, real = texts.mask.bool(), model.vocab_size
    if not bert:
        return {"logits": (x @ words.T)[seen][:, :real]}
    found = {"hidden": x[seen]}
    if "lm_head.bias" in first:
        y = _gelu(_linear(x, first, "lm_head.dense"), tanh)
        y = _norm(y, first, "lm_head.layernorm", eps)
        bias = torch.cat([rank["lm_head.bias"] for rank in ranks])
        found["logits"] = (y @ words.T + bias)[seen][:, :real]
    if "pooler.dense.weight" in first:
        found["pooled"] = torch.tanh(_linear(x[:, 0], first, "pooler.dense"))
        if "binary_head.weight" in first:
            found["order"] = _linear(found["pooled"], first, "binary_head")
    return found


def _attention(
    x: Tensor, ranks: Sequence[Rank], place: str, parts: Parts, allowed: Tensor
) -> Tensor:
    heads, total = parts.heads // len(ranks), torch.zeros_like(x)
    b, s, _ = x.shape
    for rank in ranks:
        mixed = _linear(x, rank, place + "query_key_value")  # [b, s, 3 h / t]
        if parts.version < 1:  # All queries, all keys, all values.
            q, k, v = (part.view(b, s, heads, -1) for part in mixed.chunk(3, dim=-1))
        elif parts.version < 2:  # The three of each number side by side.
            q, k, v = mixed.view(b, s, heads, -1, 3).unbind(-1)
        else:  # The three of each head one after the other.
            q, k, v = mixed.view(b, s, heads, -1).chunk(3, dim=-1)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~allowed, -math.inf)
        context = torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).flatten(2)  # [b,s,h/t]
        total = total + context @ rank[place + "dense.weight"].T
    return total + ranks[0][place + "dense.bias"]


def _mlp(x: Tensor, ranks: Sequence[Rank], place: str, tanh: bool) -> Tensor:
    total = torch.zeros_like(x)
    for rank in ranks:
        wide = _gelu(_linear(x, rank, place + "dense_h_to_4h"), tanh)
        total = total + wide @ rank[place + "dense_4h_to_h.weight"].T
    return total + ranks[0][place + "dense_4h_to_h.bias"]


def _linear(x: Tensor, rank: Rank, name: str) -> Tensor:
    return F.linear(x, rank[name + ".weight"], rank[name + ".bias"])


def _norm(x: Tensor, rank: Rank, name: str, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], rank[name + ".weight"], rank[name + ".bias"], eps)


def _gelu(x: Tensor, tanh: bool) -> Tensor:
    if tanh:
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
