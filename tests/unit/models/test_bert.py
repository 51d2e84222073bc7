"""BERT in one process: against Hugging Face, a dense computation, and the published sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.config.load import from_dict
from hydratron.models.bert import BertModel
from hydratron.parallel.mesh import SINGLE, Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.training.build import build_network, parameter_table
from hydratron.training.optimizers import build_optimizer
from tests.helpers.tiny import HEADS, HIDDEN, LAYERS, SEQ, TINY, tiny_gpt
from tests.helpers.tiny_bert import BERT_TABLE, tiny_answers, tiny_bert, tiny_inputs

CONF = Path(__file__).parents[3] / "conf" / "model"

# Hugging Face's names for ours; the LayerNorms of a layer differ between its two classes.
TRUNK = {
    "bert.embeddings.word_embeddings.weight": "word_embeddings.weight",
    "bert.embeddings.position_embeddings.weight": "position_embeddings",
    "bert.embeddings.token_type_embeddings.weight": "tokentype_embeddings",
    "bert.pooler.dense": "pooler",
    "cls.seq_relationship": "binary_head",
    "cls.predictions.transform.dense": "lm_head.dense",
    "cls.predictions.transform.LayerNorm": "lm_head.norm",
    "cls.predictions.bias": "lm_head.bias",
    "cls.predictions.decoder.bias": "lm_head.bias",
}
LAYER = {
    "attention.output.dense": "attention.sublayer.dense",
    "intermediate.dense": "mlp.sublayer.dense_h_to_4h",
    "output.dense": "mlp.sublayer.dense_4h_to_h",
}
CLASSES: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "post": (
        "Bert",
        {"bert.embeddings.LayerNorm": "embedding_norm"},
        {"attention.output.LayerNorm": "attention.norm", "output.LayerNorm": "mlp.norm"},
    ),
    "pre": (
        "MegatronBert",
        {"bert.encoder.ln": "final_norm"},
        {"attention.ln": "attention.norm", "ln": "mlp.norm"},
    ),
}


def copy_to_hugging_face(model: BertModel, other: nn.Module, placement: str) -> None:
    """Three matrices instead of the rows (heads, 3, d); nothing is transposed."""
    _, outer, norms = CLASSES[placement]
    names = TRUNK | outer
    new: dict[str, Tensor] = {}
    for i in range(LAYERS):
        theirs, ours = f"bert.encoder.layer.{i}.", f"layers.{i}."
        names |= {theirs + a: ours + b for a, b in (LAYER | norms).items()}
        for part in ("weight", "bias"):
            rows = model.get_parameter(f"{ours}attention.sublayer.query_key_value.{part}")
            split = rows.view(HEADS, 3, HIDDEN // HEADS, *rows.shape[1:])
            for kind, name in enumerate(("query", "key", "value")):
                new[f"{theirs}attention.self.{name}.{part}"] = split[:, kind].flatten(0, 1)
    ours_by_name = dict(model.named_parameters())
    used = set()
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name in new:
                parameter.copy_(new.pop(name))
                continue
            stem, _, part = name.rpartition(".")
            our_name = names.get(name) or f"{names[stem]}.{part}"
            used.add(our_name)
            parameter.copy_(ours_by_name[our_name])
    assert not new
    assert {n for n in ours_by_name if "query_key_value" not in n} == used


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("placement", CLASSES)
@pytest.mark.parametrize("fused", [True, False])
def test_hidden_states_and_logits_equal_hugging_face(placement: str, fused: bool) -> None:
    transformers = pytest.importorskip("transformers")
    kind = CLASSES[placement][0]
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=64, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=4 * HIDDEN, max_position_embeddings=SEQ, layer_norm_eps=1e-5,
        hidden_act="gelu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    other = getattr(transformers, f"{kind}ForPreTraining")(config).eval()
    model = tiny_bert(placement=placement, fused_attention=fused)
    copy_to_hugging_face(model, other, placement)
    inputs = tiny_inputs()
    theirs = other(
        input_ids=inputs["tokens"],
        token_type_ids=inputs["tokentype_ids"],
        attention_mask=inputs["padding_mask"],
        output_hidden_states=True,
    )
    hidden = other.bert(
        input_ids=inputs["tokens"],
        token_type_ids=inputs["tokentype_ids"],
        attention_mask=inputs["padding_mask"],
    ).last_hidden_state
    words, order = model.logits(**inputs)
    torch.testing.assert_close(model(**inputs), hidden, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(words, theirs.prediction_logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(order, theirs.seq_relationship_logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("chunk", [2, 100])
def test_the_loss_and_its_gradients_equal_a_dense_computation(chunk: int) -> None:
    inputs, answers = tiny_inputs(), tiny_answers()
    model, dense = tiny_bert(loss_chunk_tokens=chunk), tiny_bert()
    loss = model.loss(**inputs, **answers)
    words, order = dense.logits(**inputs)
    labels = answers["labels"].flatten()
    mlm = F.cross_entropy(words.flatten(0, 1), labels, ignore_index=-1, reduction="sum")
    sop = F.cross_entropy(order, answers["sop"], reduction="sum")
    torch.testing.assert_close(loss.mlm, mlm)
    torch.testing.assert_close(loss.sop, sop)
    assert (loss.mlm.dtype, loss.sop.dtype) == (torch.float32, torch.float32)
    assert loss.sop_correct == sum(
        int(row.argmax() == answer) for row, answer in zip(order, answers["sop"], strict=True)
    )
    (loss.mlm / 5 + loss.sop / 3).backward()
    (mlm / 5 + sop / 3).backward()
    for (name, ours), theirs in zip(model.named_parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("placement", ["pre", "post"])
def test_no_token_sees_padding(placement: str, fused: bool) -> None:
    model = tiny_bert(placement=placement, fused_attention=fused)
    inputs = tiny_inputs()
    real = inputs["padding_mask"].bool()
    before = model(**inputs)
    changed = inputs | {
        "tokens": torch.where(real, inputs["tokens"], (inputs["tokens"] + 1) % 50),
        "tokentype_ids": torch.where(real, inputs["tokentype_ids"], 1 - inputs["tokentype_ids"]),
    }
    after = model(**changed)
    assert torch.equal(before[real], after[real])
    assert not torch.equal(before[~real], after[~real])
    # A sample is the same alone and without its padding.
    short = {name: values[2:, :3] for name, values in inputs.items()}
    torch.testing.assert_close(model(**short)[0], before[2, :3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fused", [True, False])
def test_a_sample_of_padding_alone_is_finite(fused: bool) -> None:
    inputs = tiny_inputs()
    inputs["padding_mask"][1] = 0
    model = tiny_bert(fused_attention=fused)
    loss = model.loss(**inputs, **tiny_answers())
    (loss.mlm + loss.sop).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_every_token_sees_all_tokens_of_both_segments() -> None:
    model = tiny_bert()
    inputs = {name: values[:1] for name, values in tiny_inputs().items()}
    before = model(**inputs)[0]
    for position in (0, SEQ - 1):
        tokens = inputs["tokens"].clone()
        tokens[0, position] = (tokens[0, position] + 1) % 50
        changed = (model(**(inputs | {"tokens": tokens}))[0] - before).abs().amax(dim=-1)
        assert changed.gt(0).all()


PUBLISHED = {
    "bert_336m": 336_297_858,
    "bert_752m": 751_521_154,
    "bert_1.3b": 1_280_739_202,
    "bert_3.9b": 3_869_260_674,
}
VOCABULARY = 30522


def preset(name: str, **changes: Any) -> Any:
    return from_dict({"model": yaml.safe_load((CONF / f"{name}.yaml").read_text()) | changes})


def on_meta(name: str, **changes: Any) -> nn.Module:
    return build_network(preset(name, **changes), VOCABULARY, Mesh(), RandomStreams(0), "meta")


def size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("placement", ["pre", "post", "deepnorm"])
@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_published_parameter_counts(name: str, parameters: int, placement: str) -> None:
    assert preset(name).model.padded(VOCABULARY) == 30592
    assert size(on_meta(name, layernorm={"placement": placement})) == parameters


def test_sandwich_has_two_more_layer_norms_a_layer() -> None:
    more = size(on_meta("bert_336m", layernorm={"placement": "sandwich"}))
    assert more - PUBLISHED["bert_336m"] == 24 * 4 * 1024


@pytest.mark.parametrize("other", ["gpt_pico", "gpt_nano", "gpt_micro", "gpt_mini"])
def test_the_small_shapes_are_those_of_gpt(other: str) -> None:
    bert, gpt = preset(other.replace("gpt", "bert")).model, preset(other).model
    for key in ("num_layers", "hidden_size", "num_attention_heads", "seq_length", "init_std"):
        assert getattr(bert, key) == getattr(gpt, key), key
    assert bert.architecture == "bert"


def test_the_layers_and_embeddings_start_as_those_of_gpt() -> None:
    from hydratron.models.gpt import gpt_parameters
    from hydratron.models.init import initialize

    bert, gpt = tiny_bert(), tiny_gpt()
    initialize(bert, BERT_TABLE, 1, SINGLE, 50)
    initialize(gpt, gpt_parameters(TINY, 0.2), 1, SINGLE, 50)
    theirs = dict(bert.named_parameters())
    for name, parameter in gpt.named_parameters():
        assert torch.equal(theirs[name], parameter), name


def test_initial_weights_of_the_heads() -> None:
    table = parameter_table(preset("bert_pico", init_std=0.2))
    for name in ("lm_head.dense.weight", "pooler.weight", "binary_head.weight"):
        assert (table[name].std, table[name].shard_dim) == (0.2, None)
    assert table["tokentype_embeddings"].std == 0.2
    assert table["lm_head.norm.weight"].mean == 1.0
    assert (table["lm_head.bias"].std, table["lm_head.bias"].shard_dim) == (0.0, 0)


def test_biases_and_layer_norms_do_not_decay() -> None:
    model = tiny_bert(placement="sandwich")
    optim = from_dict({"optim": {"weight_decay": 0.3}}).optim
    optimizer = build_optimizer(dict(model.named_parameters()), BERT_TABLE, optim)
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        vector = name.endswith("bias") or "norm" in name
        assert decay[id(parameter)] == (0.0 if vector else 0.3), name
