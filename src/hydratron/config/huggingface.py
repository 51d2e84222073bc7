"""The options of a model as Hugging Face's config.json says them, and back.

What is not there has the default of the class that would read it (transformers 4.48 and 5.23 agree
on all of these).  What changes the computation and has no option of ours is refused by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydratron.config.model import LayerNormConfig, ModelConfig
from hydratron.errors import ConfigError, HydratronError, Problem
from hydratron.job import VALID_NAME, read_json

CONFIG = "config.json"
GPT2, BERT, MEGATRON_BERT = "gpt2", "bert", "megatron-bert"


@dataclass(frozen=True)
class Family:
    """A `model_type`: what our options are called there.

    sizes:   our option -> its key; `heads` and so on.
    norm:    the key of the LayerNorm's eps, and its default.
    gelu:    the key of the activation, and its default.
    drops:   the keys of the dropout probabilities.
    needs:   what must have this value if it is there, because we compute nothing else.
    """

    architecture: str
    placement: str
    sizes: Mapping[str, str]
    norm: tuple[str, float]
    gelu: tuple[str, str]
    drops: Sequence[str]
    needs: Mapping[str, Any]


_BERT_SIZES = {
    "num_layers": "num_hidden_layers",
    "hidden_size": "hidden_size",
    "num_attention_heads": "num_attention_heads",
    "ffn_hidden_size": "intermediate_size",
    "seq_length": "max_position_embeddings",
}
_BERT_NEEDS = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "type_vocab_size": 2,
    "tie_word_embeddings": True,
}


def _bert(placement: str) -> Family:
    return Family(
        "bert",
        placement,
        _BERT_SIZES,
        norm=("layer_norm_eps", 1e-12),
        gelu=("hidden_act", "gelu"),
        drops=("hidden_dropout_prob", "attention_probs_dropout_prob"),
        needs=_BERT_NEEDS,
    )


FAMILIES: dict[str, Family] = {
    GPT2: Family(
        "gpt",
        "pre",
        {
            "num_layers": "n_layer",
            "hidden_size": "n_embd",
            "num_attention_heads": "n_head",
            "ffn_hidden_size": "n_inner",
            "seq_length": "n_positions",
        },
        norm=("layer_norm_epsilon", 1e-5),
        gelu=("activation_function", "gelu_new"),
        drops=("resid_pdrop", "embd_pdrop", "attn_pdrop"),
        needs={
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "add_cross_attention": False,
            "tie_word_embeddings": True,
        },
    ),
    BERT: _bert("post"),
    MEGATRON_BERT: _bert("pre"),
}
# The names of activations -> `model.gelu`; the first of a value is the one that we write.
GELUS = {"gelu_new": "tanh", "gelu": "erf", "gelu_pytorch_tanh": "tanh", "gelu_fast": "tanh"}


@dataclass(frozen=True)
class Foreign:
    """A config.json that was read: its family, our options, and the rows of its vocabulary."""

    family: str
    model: ModelConfig
    vocab_size: int
    content: Mapping[str, Any]


def is_huggingface(folder: Path) -> bool:
    """Whether the folder has a config.json that names a model_type."""
    try:
        content = read_json(folder / CONFIG)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "model_type" in content


def read(folder: Path) -> Foreign:
    """What the folder's config.json says; the model is called as the folder is.

    Raises HydratronError with one line for every key that does not map.
    """
    file = folder / CONFIG
    try:
        content = read_json(file)
    except ValueError as error:
        raise HydratronError(f"{file}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise HydratronError(f"{file}: no such file, or not an object")
    found = parse(content, str(file))
    name = "".join(c if VALID_NAME.fullmatch(c) else "_" for c in folder.resolve().name)
    return replace(found, model=replace(found.model, name=name or found.model.name))


def parse(content: Mapping[str, Any], where: str) -> Foreign:
    """The same of a config.json that was read; `where` it stands is said in errors."""
    kind = content.get("model_type")
    if kind not in FAMILIES:
        raise HydratronError(f"{where}: model_type={kind} does not map; {', '.join(FAMILIES)} do")
    family, wrong = FAMILIES[kind], []
    for key, needed in family.needs.items():
        if (found := content.get(key, needed)) != needed:
            wrong.append(Problem(f"{where}: {key}", found, f"does not map; {needed} does"))
    key, default = family.gelu
    activation = content.get(key, default)
    if activation not in GELUS:
        wrong.append(Problem(f"{where}: {key}", activation, f"does not map; {_some(GELUS)} do"))
    sizes: dict[str, Any] = {ours: content.get(theirs) for ours, theirs in family.sizes.items()}
    for theirs in (*family.sizes.values(), "vocab_size"):
        value = content.get(theirs)
        if not (_is_size(value) or (theirs == "n_inner" and value is None)):
            wrong.append(Problem(f"{where}: {theirs}", value, "a number above 0 is expected"))
    eps = content.get(*family.norm)
    if not isinstance(eps, int | float) or not 0 < eps < 1:
        wrong.append(Problem(f"{where}: {family.norm[0]}", eps, "a number above 0 is expected"))
    drops = [content.get(key, 0.1) for key in family.drops]
    if not all(isinstance(drop, int | float) and 0 <= drop < 1 for drop in drops):
        wrong.append(Problem(f"{where}: {family.drops[0]}", drops[0], "from 0 to 1 is expected"))
    if not wrong and sizes["hidden_size"] % sizes["num_attention_heads"]:
        theirs = family.sizes["num_attention_heads"]
        expected = f"does not divide the width {sizes['hidden_size']}"
        wrong.append(Problem(f"{where}: {theirs}", sizes["num_attention_heads"], expected))
    if wrong:
        raise ConfigError(wrong)
    if sizes["ffn_hidden_size"] == 4 * sizes["hidden_size"]:
        sizes["ffn_hidden_size"] = None
    norm = LayerNormConfig(placement=family.placement, eps=float(eps))
    model = ModelConfig(
        name="imported",
        architecture=family.architecture,
        init_std=float(content.get("initializer_range", 0.02)),
        dropout=float(drops[0]),
        gelu=GELUS[activation],
        layernorm=norm,
        **sizes,
    )
    return Foreign(kind, model, content["vocab_size"], content)


def family_of(model: ModelConfig) -> str:
    """The `model_type` that computes what this model does.

    Raises HydratronError naming what none of them does.
    """
    norm, shown = model.layernorm, "model.layernorm."
    depth = f"{model.architecture} with {shown}placement={norm.placement}"
    if norm.norm != "layernorm":
        raise HydratronError(f"{shown}norm={norm.norm}: no model of Hugging Face's has it")
    if model.architecture == "bert" and norm.placement in ("post", "deepnorm"):
        return BERT  # Any scale on the residual stream divides into the weights.
    if norm.placement != "pre":
        raise HydratronError(f"{depth}: no model of Hugging Face's computes that; pre does")
    if norm.residual_scale not in (None, 1.0):
        said = f"{shown}residual_scale={norm.residual_scale}"
        raise HydratronError(f"{said}: no model of Hugging Face's computes that with pre; null")
    return GPT2 if model.architecture == "gpt" else MEGATRON_BERT


def written(
    model: ModelConfig, init_std: float, vocab_size: int, special: Mapping[str, int | None]
) -> dict[str, Any]:
    """The config.json of this model, without `architectures`; `special` are the ids of
    `bos_token_id` and the like."""
    kind = family_of(model)
    family = FAMILIES[kind]
    sizes = {theirs: getattr(model, ours) for ours, theirs in family.sizes.items()}
    if model.architecture == "bert" and model.ffn_hidden_size is None:
        sizes["intermediate_size"] = 4 * model.hidden_size
    gelu = next(theirs for theirs, ours in GELUS.items() if ours == model.gelu)
    return {
        "model_type": kind,
        "vocab_size": vocab_size,
        **sizes,
        family.gelu[0]: gelu,
        family.norm[0]: model.layernorm.eps,
        **dict.fromkeys(family.drops, model.dropout),
        "initializer_range": init_std,
        **(
            {"type_vocab_size": 2} if model.architecture == "bert" else {"scale_attn_weights": True}
        ),
        "tie_word_embeddings": True,
        **special,
        "torch_dtype": "float32",
    }


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _some(names: Mapping[str, Any]) -> str:
    return ", ".join(names)
