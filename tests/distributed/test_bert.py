"""The whole BERT on several ranks against one: weights, both losses, logits and every gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hydratron.parallel.mesh import build_mesh
from tests.helpers.faults import lose_f, relative_error
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import unshard, whole_norm
from tests.helpers.tiny_bert import BERT_TABLE, tiny_answers, tiny_bert, tiny_inputs

Tensors = dict[str, Tensor]


def step(
    rank: int, world_size: int, options: dict[str, Any], masked: bool = True
) -> tuple[Tensors, Tensors, Tensors]:
    """Weights, gradients, and numbers (losses, logits, norm) of one forward and backward."""
    mesh = build_mesh({"tensor": world_size}, "cpu")
    model = tiny_bert(mesh.tensor, **options)
    inputs, answers = tiny_inputs(), tiny_answers()
    if not masked:
        answers["labels"].fill_(-1)
    loss = model.loss(**inputs, **answers)
    (0.3 * loss.mlm + 0.7 * loss.sop).backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    with torch.no_grad():
        words, order = model.logits(**inputs)
    norm = whole_norm(grads, BERT_TABLE, mesh)
    numbers = {n: t.detach() for n, t in loss._asdict().items()}
    return (
        dict(model.named_parameters()),
        grads,
        numbers | {"words": words, "order": order, "norm": norm},
    )


def joined(parts: list[Tensors]) -> Tensors:
    return {n: unshard([p[n].detach() for p in parts], BERT_TABLE[n].shard_dim) for n in parts[0]}


VARIANTS: list[dict[str, Any]] = [
    {"placement": "pre"},
    {"placement": "post"},
    {"placement": "deepnorm", "recompute": "layer"},
    {"placement": "sandwich", "fused_attention": False, "gelu": "tanh", "loss_chunk_tokens": 2},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("world_size", [2, 4])
def test_every_degree_is_the_same_model(world_size: int, options: dict[str, Any]) -> None:
    (one_weights, one_grads, one_numbers), *_ = run_ranks(step, 1, options)
    parts = run_ranks(step, world_size, options)
    weights = joined([part[0] for part in parts])
    for name, expected in one_weights.items():
        assert torch.equal(weights[name], expected), name
    grads = joined([part[1] for part in parts])
    assert grads.keys() == one_grads.keys() == one_weights.keys()
    for name, expected in one_grads.items():
        assert expected.norm() > 0, name
        assert (grads[name] - expected).norm() <= 1e-5 * expected.norm(), name
    for part in parts:
        for name, value in part[2].items():
            torch.testing.assert_close(value, one_numbers[name], rtol=1e-5, atol=1e-5)
        for name, grad in part[1].items():  # what is whole on every rank gets the whole gradient
            if BERT_TABLE[name].shard_dim is None:
                expected = one_grads[name]
                assert (grad - expected).norm() <= 1e-5 * expected.norm(), name


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_batch_without_masked_tokens_gives_zeros(world_size: int) -> None:
    for _, grads, numbers in run_ranks(step, world_size, {}, False):
        assert numbers["mlm"] == 0
        assert all(grad.isfinite().all() for grad in grads.values())
        for name, grad in grads.items():
            if name.startswith("lm_head"):
                assert not grad.any(), name
        assert grads["pooler.weight"].any()


def step_without_f(rank: int, world_size: int) -> tuple[Tensors, Tensors, Tensors]:
    lose_f()
    return step(rank, world_size, {})


def test_a_lost_all_reduce_shows_in_the_gradients_of_the_head_not_in_the_loss() -> None:
    right, wrong = run_ranks(step, 2, {}), run_ranks(step_without_f, 2)
    assert torch.equal(wrong[0][2]["mlm"], right[0][2]["mlm"])
    name = "lm_head.dense.weight"
    assert relative_error(wrong[0][1][name], right[0][1][name]) > 0.1


def dropped(rank: int, world_size: int, recompute: str) -> Tensors:
    group = build_mesh({"tensor": world_size}, "cpu").tensor
    model = tiny_bert(group, recompute=recompute, dropout=0.3)
    loss = model.loss(**tiny_inputs(), **tiny_answers())
    (loss.mlm + loss.sop).backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def test_recomputation_draws_the_same_masks() -> None:
    plain, again = run_ranks(dropped, 2, "none"), run_ranks(dropped, 2, "layer")
    for expected, grads in zip(plain, again, strict=True):
        for name, grad in expected.items():
            torch.testing.assert_close(grads[name], grad, rtol=1e-6, atol=1e-7)
    for name, grad in plain[0].items():  # dropout outside the parallel regions is the same on both
        if BERT_TABLE[name].shard_dim is None:
            torch.testing.assert_close(plain[1][name], grad, rtol=1e-5, atol=1e-6)
