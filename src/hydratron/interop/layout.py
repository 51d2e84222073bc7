"""The ranks of a Megatron checkpoint become whole tensors of ours.

Shapes: h hidden, a heads, d = h / a, t ranks.  The rows of one rank's query_key_value, [3h / t, h]:

    version absent or 0     (3, a / t, d)     all queries, all keys, all values of this rank
    version 1               (a / t, d, 3)
    version 2 and later     (a / t, 3, d)     ours: whole matrices are cut into ranks in one piece
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hydratron.errors import HydratronError
from hydratron.interop.names import QKV

LAYER = {
    "input_layernorm": ("attention.norm", None),
    "attention.query_key_value": (QKV, 0),
    "attention.dense": ("attention.sublayer.dense", 1),
    "post_attention_layernorm": ("mlp.norm", None),
    "mlp.dense_h_to_4h": ("mlp.sublayer.dense_h_to_4h", 0),
    "mlp.dense_4h_to_h": ("mlp.sublayer.dense_4h_to_h", 1),
}
# Name of the old format -> ours, and the dimension that is split over the ranks.
TRUNK: dict[str, tuple[str, int | None]] = {
    "embedding.word_embeddings.weight": ("word_embeddings.weight", 0),
    "embedding.position_embeddings.weight": ("position_embeddings", None),
    "embedding.tokentype_embeddings.weight": ("tokentype_embeddings", None),
    "transformer.final_layernorm.weight": ("final_norm.weight", None),
    "transformer.final_layernorm.bias": ("final_norm.bias", None),
    "pooler.dense.weight": ("pooler.weight", None),
    "pooler.dense.bias": ("pooler.bias", None),
    "lm_head.dense.weight": ("lm_head.dense.weight", None),
    "lm_head.dense.bias": ("lm_head.dense.bias", None),
    "lm_head.layernorm.weight": ("lm_head.norm.weight", None),
    "lm_head.layernorm.bias": ("lm_head.norm.bias", None),
    "lm_head.bias": ("lm_head.bias", 0),
    "binary_head.weight": ("binary_head.weight", None),
    "binary_head.bias": ("binary_head.bias", None),
}
# Copies of the tied embedding that some versions write.
COPIES = ("word_embeddings_for_head.weight", "word_embeddings.weight", "output_layer.weight")
NUMBERED = re.compile(r"transformer\.layers\.(\d+)\.(.+)\.(weight|bias)")


@dataclass(frozen=True)
class Parts:
    """The tensors of each tensor-parallel rank by the names of the old format, fp32."""

    ranks: Sequence[Mapping[str, Tensor]]
    version: float
    heads: int

    def ordered(self, name: str, tensor: Tensor) -> Tensor:
        """The rows of one rank's query_key_value in our order."""
        if not name.endswith(("query_key_value.weight", "query_key_value.bias")):
            return tensor
        heads = self.heads // len(self.ranks)
        if self.version >= 2:
            return tensor
        if self.version >= 1:
            return tensor.unflatten(0, (heads, -1, 3)).transpose(1, 2).flatten(0, 2)
        return tensor.unflatten(0, (3, heads, -1)).transpose(0, 1).flatten(0, 2)


def merged(parts: Parts, where: str) -> dict[str, Tensor]:
    """Our whole tensors.  Raises HydratronError for a name that does not map, for ranks of unlike
    tensors and for replicas that differ."""
    first, found = parts.ranks[0], {}
    for number, rank in enumerate(parts.ranks):
        if odd := sorted(first.keys() ^ rank.keys()):
            raise HydratronError(f"{where}: {odd[0]} is not on ranks 0 and {number} alike")
    for name, tensor in first.items():
        ours, dim = _ours(name)
        if ours is None:
            tied = first.get("embedding.word_embeddings.weight")
            if name in COPIES and tied is not None and tied.equal(tensor):
                continue
            raise HydratronError(f"{where}: {name} does not map")
        pieces = [parts.ordered(name, rank[name]) for rank in parts.ranks]
        if dim is None or (dim == 1 and tensor.ndim == 1):  # A row-parallel bias is whole.
            if not all(piece.equal(pieces[0]) for piece in pieces):
                raise HydratronError(f"{where}: {name} differs between the ranks")
            found[ours] = pieces[0]
        else:
            found[ours] = torch.cat(pieces, dim=dim)
    return found


def _ours(name: str) -> tuple[str | None, int | None]:
    if name in TRUNK:
        return TRUNK[name]
    match = NUMBERED.fullmatch(name)
    if match and match[2] in LAYER:
        ours, dim = LAYER[match[2]]
        return f"layers.{match[1]}.{ours}.{match[3]}", dim
    return None, None
