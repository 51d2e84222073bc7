"""Megatron-LM's checkpoints in: `mp_rank_XX/model_optim_rng.pt`, and `torch_dist`.

Both become one thing first, the tensors of every rank by the names of the old format, from which
`reference.py` computes and `layout.py` makes ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hydratron.data.tokenizer import Tokenizer
from hydratron.errors import HydratronError
from hydratron.interop import torch_dist, unpickle
from hydratron.interop.arguments import options
from hydratron.interop.comparison import Batch, Outputs
from hydratron.interop.layout import Parts, merged
from hydratron.interop.model import Model, check, finite
from hydratron.interop.reference import outputs

FILE = "model_optim_rng.pt"
TRACKER = "latest_checkpointed_iteration.txt"
RANK = re.compile(r"mp_rank_(\d{2,})(_\d+)?")
# Newer names -> those of the old format; the layers of both have numbers.
CORE = (
    (r"^(decoder|encoder)\.layers\.", "transformer.layers."),
    (r"^(decoder|encoder)\.final_layernorm\.", "transformer.final_layernorm."),
    (r"\.self_attention\.linear_qkv\.layer_norm_(weight|bias)$", r".input_layernorm.\1"),
    (r"\.mlp\.linear_fc1\.layer_norm_(weight|bias)$", r".post_attention_layernorm.\1"),
    (r"\.self_attention\.linear_qkv\.", ".attention.query_key_value."),
    (r"\.self_attention\.linear_proj\.", ".attention.dense."),
    (r"\.pre_mlp_layernorm\.", ".post_attention_layernorm."),
    (r"\.mlp\.linear_fc1\.", ".mlp.dense_h_to_4h."),
    (r"\.mlp\.linear_fc2\.", ".mlp.dense_4h_to_h."),
    (r"^lm_head\.layer_norm\.", "lm_head.layernorm."),
    (r"^output_layer\.bias$", "lm_head.bias"),
)
OLD = (
    (r"^language_model\.", ""),
    (r"^encoder\.", "transformer."),
    (r"\.self_attention\.", ".attention."),
    (r"^embedding\.tokentype_embeddings$", "embedding.tokentype_embeddings.weight"),
)


def is_megatron(path: Path) -> bool:
    """Whether it is a folder with ranks of the old format, or a `torch_dist` one, or has one."""
    return _iteration(path) is not None


def read(
    path: Path, tokenizer: Tokenizer, stated: Sequence[str]
) -> tuple[Model, Callable[[Batch, torch.dtype], Outputs]]:
    """The model, and what Megatron-LM's own arithmetic makes of its tensors as they lie there.

    Raises HydratronError for what is no such checkpoint, does not map, or is not said.
    """
    folder = _iteration(path)
    assert folder is not None
    if torch_dist.is_torch_dist(folder):
        tensors, common = torch_dist.read(folder)
        ranks = [_renamed(tensors, CORE)]
    else:
        files = _rank_files(folder)
        contents = [unpickle.read(file) for file in files]
        ranks = [_tensors(content, file) for content, file in zip(contents, files, strict=True)]
        common = contents[0]
    made = options(common, ranks[0], stated, str(path))
    heads, version = made.num_attention_heads, float(common.get("checkpoint_version") or 0)
    if heads % len(ranks):
        raise HydratronError(f"{path}: {heads} heads do not divide by its {len(ranks)} ranks")
    parts = Parts(ranks, version, heads)
    tensors = merged(parts, str(folder))
    model = Model(made, tensors, tokenizer)
    check(str(path), model)
    finite(str(path), tensors)
    return model, lambda texts, dtype: outputs(parts, model, texts, dtype)


def _iteration(path: Path) -> Path | None:
    """The folder of one iteration: `path`, what its tracker names, or its only one."""
    if not path.is_dir():
        return None
    if torch_dist.is_torch_dist(path) or any(_ranks(path)):
        return path
    named = []
    tracker = path / TRACKER
    if tracker.is_file():
        text = tracker.read_text(encoding="utf-8", errors="replace").strip()
        named = [path / "release"] if text == "release" else []
        named += [path / f"iter_{int(text):07d}"] if text.isdecimal() else []
    elif (path / "release").is_dir():
        named = [path / "release"]
    return next((at for at in named if torch_dist.is_torch_dist(at) or any(_ranks(at))), None)


def _ranks(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(at for at in folder.iterdir() if RANK.fullmatch(at.name) and at.is_dir())


def _rank_files(folder: Path) -> list[Path]:
    """The file of each tensor-parallel rank, in order.  Raises HydratronError where one lacks."""
    found = _ranks(folder)
    for number, place in enumerate(found):
        match = RANK.fullmatch(place.name)
        assert match
        if match[2]:
            expected = "has pipeline stages, which are not read; only tensor parallel ranks are"
            raise HydratronError(f"{place}: {expected}")
        if int(match[1]) != number:
            raise HydratronError(f"{folder}: mp_rank_{number:02d} is missing")
        if not (place / FILE).is_file():
            raise HydratronError(f"{place}: has no {FILE}")
    return [place / FILE for place in found]


def _tensors(content: Mapping[str, Any], file: Path) -> dict[str, Tensor]:
    """The tensors of one rank's model by the names of the old format."""
    if not isinstance(model := content.get("model"), dict):
        raise HydratronError(f"{file}: has no model; not a checkpoint of Megatron-LM")
    flat = dict(_flat(model, ""))
    core = any(".linear_qkv." in name for name in flat)
    return _renamed(flat, CORE if core else OLD)


def _flat(content: Mapping[str, Any], prefix: str) -> Any:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, Tensor):
            yield f"{prefix}{key}", value


def _renamed(tensors: Mapping[str, Tensor], rules: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    found = {}
    for name, tensor in tensors.items():
        for pattern, by in rules:
            name = re.sub(pattern, by, name)
        if not name.endswith("_extra_state"):
            found[name] = tensor.float()
    return found
