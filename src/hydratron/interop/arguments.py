"""The options of a Megatron model: from its tensors, from its `args`, or stated by the user.

Nothing is guessed: what neither the tensors nor `args` say must be stated, and what `args` say that
our networks do not compute is refused by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from hydratron.config.model import LayerNormConfig, ModelConfig
from hydratron.errors import ConfigError, HydratronError, Problem
from hydratron.interop.unpickle import plain

# What `args` may say and we compute; other values of these keys change the network.
NEEDS: dict[str, tuple[Any, ...]] = {
    "apply_residual_connection_post_layernorm": (False,),
    "position_embedding_type": ("learned_absolute", None),
    "normalization": ("LayerNorm",),
    "untie_embeddings_and_output_weights": (False,),
    "add_bias_linear": (True,),
    "group_query_attention": (False,),
    "multi_latent_attention": (False,),
    "num_experts": (None, 0),
    "swiglu": (False,),
    "squared_relu": (False,),
    "quick_geglu": (False,),
    "apply_layernorm_1p": (False,),
    "qk_layernorm": (False,),
    "pipeline_model_parallel_size": (1,),
    "num_tokentypes": (0, 2),
}
STATED = {"num_attention_heads": int, "gelu": str, "layernorm.eps": float}


def options(
    common: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    stated: Sequence[str],
    where: str,
) -> ModelConfig:
    """The model of a checkpoint with these tensors on its first rank.  Raises HydratronError."""
    said = vars(common["args"]) if hasattr(common.get("args"), "__dict__") else {}
    given = _given(stated)
    wrong = [
        Problem(f"{where}: args.{key}", value, f"does not map; {values[0]} does")
        for key, values in NEEDS.items()
        if (value := plain(said.get(key, values[0]))) not in values
    ]
    if wrong:
        raise ConfigError(wrong)
    bert = "embedding.tokentype_embeddings.weight" in tensors
    for name in ("embedding.word_embeddings.weight", "embedding.position_embeddings.weight"):
        if name not in tensors:
            raise HydratronError(f"{where}: has no {name}")
    hidden = tensors["embedding.word_embeddings.weight"].shape[1]
    numbers = [name.split(".")[2] for name in tensors if name.startswith("transformer.layers.")]
    heads = _known("num_attention_heads", given, said.get("num_attention_heads"), where)
    eps = _known("layernorm.eps", given, _eps(said), where)
    gelu = _known("gelu", given, _gelu(said, bert, where), where)
    ffn = said.get("ffn_hidden_size")
    if heads < 1 or hidden % heads:
        raise HydratronError(f"{where}: num_attention_heads={heads}: does not divide {hidden}")
    if gelu not in ("tanh", "erf"):
        raise HydratronError(f"--model gelu={gelu}: tanh or erf")
    return ModelConfig(
        name="imported",
        architecture="bert" if bert else "gpt",
        num_layers=1 + max(map(int, numbers), default=0),
        hidden_size=hidden,
        num_attention_heads=heads,
        ffn_hidden_size=None if ffn in (None, 4 * hidden) else int(ffn),
        seq_length=len(tensors["embedding.position_embeddings.weight"]),
        init_std=float(said.get("init_method_std", 0.02)),
        dropout=float(said.get("hidden_dropout", 0.1)),
        gelu=gelu,
        layernorm=LayerNormConfig(placement="pre", eps=eps),
    )


def _gelu(said: Mapping[str, Any], bert: bool, where: str) -> str | None:
    """Which GeLU the layers compute, or None where `args` do not say."""
    if not said:
        return None
    if said.get("openai_gelu"):
        return "tanh"
    if said.get("bias_gelu_fusion"):
        if bert:
            told = "computes tanh in its layers and erf in its head; ours has one GeLU"
            raise HydratronError(f"{where}: args.bias_gelu_fusion=True: a BERT of it {told}")
        return "tanh"
    # v1.0 has no fusion, and its default is erf, as is what remains of v2 without the fusion.
    return "erf"


def _eps(said: Mapping[str, Any]) -> float | None:
    found = said.get("layernorm_epsilon", said.get("norm_epsilon"))
    return None if found is None else float(found)


def _given(stated: Sequence[str]) -> dict[str, Any]:
    given = {}
    for text in stated:
        key, _, value = text.partition("=")
        if key not in STATED:
            raise HydratronError(f"--model {text}: one of {', '.join(STATED)} = VALUE")
        try:
            given[key] = STATED[key](value)
        except ValueError:
            raise HydratronError(f"--model {text}: a number is expected") from None
    return given


def _known(key: str, given: Mapping[str, Any], said: Any, where: str) -> Any:
    """What is stated or said; both must agree."""
    if key not in given and said is None:
        raise HydratronError(f"{where}: does not say {key}; state it: --model {key}=VALUE")
    if key in given and said is not None and given[key] != said:
        raise HydratronError(f"--model {key}={given[key]}: {where} says {said}")
    return given.get(key, said)
