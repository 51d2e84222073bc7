"""GPT in one process: against Hugging Face, the published sizes, and the table of parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from hydratron.config.load import from_dict
from hydratron.config.model import ModelConfig
from hydratron.models.gpt import GPTModel, gpt_parameters
from hydratron.models.init import draw
from hydratron.parallel.mesh import SINGLE, Mesh, ParallelGroup
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamSpec, ParamTable
from hydratron.training.build import build_network
from hydratron.training.optimizers import build_optimizer
from tests.helpers.tiny import HEADS, HIDDEN, LAYERS, SEQ, TABLE, TINY, tiny_batch, tiny_gpt

CONF = Path(__file__).parents[3] / "conf" / "model"


def copy_to_hugging_face(model: GPTModel, other: nn.Module) -> None:
    """Conv1D keeps weights transposed, and orders the columns of c_attn (3, heads, d)."""

    def by_kind(x: Tensor) -> Tensor:
        return x.view(HEADS, 3, HIDDEN // HEADS, *x.shape[1:]).transpose(0, 1).reshape(x.shape)

    new: dict[str, Tensor] = {
        "transformer.wte.weight": model.word_embeddings.weight,
        "transformer.wpe.weight": model.position_embeddings,
        "transformer.ln_f.weight": model.get_parameter("final_norm.weight"),
        "transformer.ln_f.bias": model.get_parameter("final_norm.bias"),
    }
    for i in range(LAYERS):
        theirs, ours = f"transformer.h.{i}", f"layers.{i}"
        for part in ("weight", "bias"):
            qkv = by_kind(model.get_parameter(f"{ours}.attention.sublayer.query_key_value.{part}"))
            new[f"{theirs}.attn.c_attn.{part}"] = qkv.t() if part == "weight" else qkv
            for their_name, our_name in {
                "attn.c_proj": "attention.sublayer.dense",
                "mlp.c_fc": "mlp.sublayer.dense_h_to_4h",
                "mlp.c_proj": "mlp.sublayer.dense_4h_to_h",
            }.items():
                value = model.get_parameter(f"{ours}.{our_name}.{part}")
                new[f"{theirs}.{their_name}.{part}"] = value.t() if part == "weight" else value
            new[f"{theirs}.ln_1.{part}"] = model.get_parameter(f"{ours}.attention.norm.{part}")
            new[f"{theirs}.ln_2.{part}"] = model.get_parameter(f"{ours}.mlp.norm.{part}")
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            parameter.copy_(new.pop(name))
    assert not new


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fused", [True, False])
def test_logits_and_gradients_equal_hugging_face(fused: bool) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=64, n_positions=SEQ, n_embd=HIDDEN, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    other = transformers.GPT2LMHeadModel(config)
    model = tiny_gpt(fused_attention=fused)
    copy_to_hugging_face(model, other)
    tokens, targets = tiny_batch()
    expected = other(tokens).logits
    torch.testing.assert_close(model.logits(tokens), expected, rtol=1e-5, atol=1e-5)

    model.loss(tokens, targets).backward()
    flat = expected.flatten(0, 1)
    nn.functional.cross_entropy(flat, targets.flatten(), reduction="sum").backward()
    with torch.no_grad():  # compare gradients where they were copied: as weights
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.copy_(parameter.grad)
    gradients = {n: p.grad.clone() for n, p in other.named_parameters()}
    copy_to_hugging_face(model, other)
    for name, parameter in other.named_parameters():
        torch.testing.assert_close(parameter.detach(), gradients[name], rtol=1e-5, atol=1e-5)


PUBLISHED = {
    "gpt2_355m": 354_871_296,
    "gpt2_2.5b": 2_490_408_960,
    "gpt2_8.3b": 8_317_040_640,
    "scaling_1.2b": 1_213_479_936,
    "scaling_2.5b": 2_490_408_960,
    "scaling_4.2b": 4_199_109_120,
    "scaling_8.3b": 8_317_040_640,
}


def on_meta(name: str, group: ParallelGroup = SINGLE) -> GPTModel:
    config = from_dict({"model": yaml.safe_load((CONF / f"{name}.yaml").read_text())})
    model = build_network(config, 50257, Mesh({"tensor": group}), RandomStreams(0), "meta")
    assert isinstance(model, GPTModel)
    return model


@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_published_parameter_counts(name: str, parameters: int) -> None:
    assert sum(p.numel() for p in on_meta(name).parameters()) == parameters


def test_one_of_eight_ranks_of_the_largest_model() -> None:
    model = on_meta("gpt2_8.3b", ParallelGroup(3, 8))
    assert sum(p.numel() for p in model.parameters()) == 1_043_549_184


@pytest.mark.parametrize(
    ("name", "millions"),
    [("gpt_pico", 0.4), ("gpt_nano", 1.8), ("gpt_micro", 4.7), ("gpt_mini", 14), ("gpt_small", 31)],
)
def test_small_sizes_without_the_vocabulary(name: str, millions: float) -> None:
    model = on_meta(name)
    blocks = sum(p.numel() for p in model.layers.parameters())
    assert blocks / 1e6 == pytest.approx(millions, rel=0.03)


def test_both_placements_have_the_same_parameters() -> None:
    counts = {p: sum(q.numel() for q in tiny_gpt(placement=p).parameters()) for p in PLACED}
    assert counts["pre"] == counts["post"]


PLACED = ("pre", "post")


def test_initial_weights_follow_the_table() -> None:
    model = tiny_gpt(padded_vocab_size=128, hidden_size=64)
    std = {name: float(p.detach().std()) for name, p in model.named_parameters()}
    assert std["word_embeddings.weight"] == pytest.approx(0.2, rel=0.05)
    assert std["layers.1.mlp.sublayer.dense_4h_to_h.weight"] == pytest.approx(0.1, rel=0.05)
    assert std["layers.1.mlp.sublayer.dense_h_to_4h.weight"] == pytest.approx(0.2, rel=0.05)
    assert torch.equal(model.get_parameter("final_norm.weight"), torch.ones(64))
    assert not model.get_parameter("layers.0.attention.sublayer.dense.bias").any()


def test_neither_padding_nor_order_changes_what_is_drawn() -> None:
    spec = ParamSpec("e", std=1.0, vocab=True)
    narrow, wide = (draw("e", spec, [rows, 3], 1, 50) for rows in (50, 1024))
    assert torch.equal(narrow, wide[:50])
    assert not torch.equal(wide[50:100], narrow)
    assert not torch.equal(draw("f", spec, [50, 3], 1, 50), narrow)
    assert not torch.equal(draw("e", spec, [50, 3], 2, 50), narrow)


@pytest.mark.parametrize(
    ("vocab", "multiple", "rows"),
    [(50257, 1024, 51200), (50257, 128, 50304), (30522, 1024, 30720), (1024, 1024, 1024)],
)
def test_padding_of_the_vocabulary(vocab: int, multiple: int, rows: int) -> None:
    assert ModelConfig(vocab_multiple=multiple).padded(vocab) == rows


def test_biases_and_layer_norms_do_not_decay() -> None:
    model = tiny_gpt()
    optimizer = build_optimizer(
        dict(model.named_parameters()), TABLE, from_dict({"optim": {"weight_decay": 0.3}}).optim
    )
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        vector = name.endswith("bias") or "norm" in name
        assert decay[id(parameter)] == (0.0 if vector else 0.3), name
    assert len(decay) == len(list(model.parameters()))


def test_a_parameter_outside_the_table_or_twice_in_it_is_refused() -> None:
    with pytest.raises(KeyError, match="nowhere matches 0 rows"):
        gpt_parameters(TINY, 0.1)["nowhere"]
    with pytest.raises(KeyError, match="a matches 2 rows"):
        ParamTable(ParamSpec("a"), ParamSpec(".*"))["a"]


def test_tokens_see_no_future() -> None:
    model = tiny_gpt()
    tokens, _ = tiny_batch(1)
    changed = tokens.clone()
    changed[0, 5] = (changed[0, 5] + 1) % 50
    difference = (model.logits(tokens) - model.logits(changed)).abs().amax(dim=-1)[0]
    assert not difference[:5].any()
    assert difference[5:].gt(0).all()
