"""A small GPT's checkpoint that can be evaluated, and the same weights in transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hydratron.config.load import dump, from_dict, to_yaml
from hydratron.config.schema import Config
from hydratron.data.tokenizer import train_bpe
from tests.helpers.ranks import run_ranks

CONTEXT, VOCAB = 32, 300
WIKI = (
    " \n = The Ship = \n \n The ship 's crew of 1 @,@ 200 men was well @-@ known . Its"
    ' captain said " sail on " ( twice ) . \n'
)
PASSAGES = [
    "the people of these states hold that liberty and union are for the people",
    'he said that the union of the people is a union of\n"liberty and the states',
    "liberty and union and the people of these states hold the union",
]


def small_gpt(architecture: str = "gpt", **model: Any) -> Config:
    shape = {
        "architecture": architecture, "num_layers": 2, "hidden_size": 32,
        "num_attention_heads": 4, "seq_length": CONTEXT, "dropout": 0.0, "init_std": 0.3,
        "vocab_multiple": 64,
    }  # fmt: skip
    return from_dict({"model": shape | model, "logger": {"kind": "none"}, "seed": 3})


def checkpointed(job: Path, config: Config | None = None, step: int = 20) -> Path:
    """A job folder with one checkpoint of random weights; returns the checkpoint."""
    config = config or small_gpt()
    job.mkdir(parents=True, exist_ok=True)
    dump(config, job / "config.yaml")
    tokenizer = train_bpe([" ".join([WIKI, *PASSAGES, "a book of words"] * 2)], VOCAB)
    texts = {"config.yaml": to_yaml(config), "tokenizer.json": tokenizer.to_json()}
    path = job / "checkpoints" / f"step_{step:08d}"
    run_ranks(_save, 1, path, config, texts, step)
    return path


def _save(
    rank: int, world_size: int, path: Path, config: Config, texts: dict[str, str], step: int
) -> None:
    from hydratron.checkpoint.folder import save
    from hydratron.checkpoint.participants import ModelState
    from hydratron.models.init import initialize
    from hydratron.parallel.mesh import build_mesh
    from hydratron.parallel.random import RandomStreams
    from hydratron.training.build import build_network, parameter_table

    mesh, table = build_mesh({"data": 1, "tensor": 1}, "cpu"), parameter_table(config)
    network = build_network(config, VOCAB, mesh, RandomStreams(1), "cpu")
    initialize(network, table, config.seed, mesh.tensor, VOCAB)
    # Biases and LayerNorms that are zero or one would hide that they were lost.
    generator = torch.Generator().manual_seed(7)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
        elif name == "word_embeddings.weight":
            parameter.data[VOCAB:] = 9.0  # Padding would win, were it not cut off.
    save(path, {"model": ModelState(network, table, mesh)}, step, texts)
    torch.save(network.state_dict(), path.parent / "weights.pt")


def in_transformers(checkpoint: Path, config: Config) -> Any:
    """The same model as GPT2LMHeadModel, made by hand: Conv1D is transposed, q, k, v apart."""
    import transformers

    model, ours = config.model, torch.load(checkpoint.parent / "weights.pt")
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=VOCAB, n_positions=model.seq_length, n_embd=model.hidden_size,
            n_layer=model.num_layers, n_head=model.num_attention_heads,
            activation_function="gelu_new", layer_norm_epsilon=model.layernorm.eps,
            bos_token_id=VOCAB - 1, eos_token_id=VOCAB - 1,
        )
    ).eval()  # fmt: skip
    state = {
        "wte.weight": ours["word_embeddings.weight"][:VOCAB],
        "wpe.weight": ours["position_embeddings"],
        "ln_f.weight": ours["final_norm.weight"],
        "ln_f.bias": ours["final_norm.bias"],
    }
    for layer in range(model.num_layers):
        for part, norm, inner, outer in (
            ("attention", "ln_1", "attn.c_attn", "attn.c_proj"),
            ("mlp", "ln_2", "mlp.c_fc", "mlp.c_proj"),
        ):
            first, second = ("query_key_value", "dense")
            if part == "mlp":
                first, second = ("dense_h_to_4h", "dense_4h_to_h")
            for kind in ("weight", "bias"):
                at = f"layers.{layer}.{part}."
                state[f"h.{layer}.{norm}.{kind}"] = ours[f"{at}norm.{kind}"]
                wide = ours[f"{at}sublayer.{first}.{kind}"]
                if part == "attention":
                    wide = _apart(wide, model.num_attention_heads)
                state[f"h.{layer}.{inner}.{kind}"] = wide.t() if wide.ndim == 2 else wide
                narrow = ours[f"{at}sublayer.{second}.{kind}"]
                state[f"h.{layer}.{outer}.{kind}"] = narrow.t() if narrow.ndim == 2 else narrow
    missing = theirs.transformer.load_state_dict(state, strict=False)
    assert not [*missing.missing_keys, *missing.unexpected_keys]
    return theirs


def _apart(rows: Tensor, heads: int) -> Tensor:
    """Rows (heads, 3, d) -> (3, heads, d)."""
    return rows.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)


def write_task_files(folder: Path) -> tuple[Path, Path, Path]:
    """A WikiText excerpt, passages as of LAMBADA, and a text of several documents."""
    wiki, lambada, text = folder / "wiki.tokens", folder / "lambada.jsonl", folder / "text.jsonl"
    wiki.write_text(WIKI * 4, encoding="utf-8")
    lines = [json.dumps({"text": passage}) + "\n" for passage in PASSAGES]
    lambada.write_text("".join(lines), encoding="utf-8")
    text.write_text("".join(lines[:2] * 2), encoding="utf-8")
    return wiki, lambada, text
