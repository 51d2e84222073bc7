"""The whole GPT on several ranks against one: weights, loss, gradients, and what is sent."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hydratron.parallel.mesh import build_mesh
from hydratron.parallel.random import RandomStreams
from tests.helpers.faults import lose_f, relative_error
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import HIDDEN, LAYERS, SEQ, TABLE, tiny_batch, tiny_gpt, unshard, whole_norm

Tensors = dict[str, Tensor]


def step(rank: int, world_size: int, options: dict[str, Any]) -> tuple[Tensors, Tensors, Tensors]:
    """Weights, gradients, and numbers (loss, logits, norm) of one forward and backward."""
    mesh = build_mesh({"tensor": world_size}, "cpu")
    model = tiny_gpt(mesh.tensor, **options)
    tokens, targets = tiny_batch()
    loss = model.loss(tokens, targets)
    loss.backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    norm = whole_norm(grads, TABLE, mesh)
    with torch.no_grad():
        numbers = {"loss": loss.detach(), "logits": model.logits(tokens), "norm": norm}
    unclipped = {n: g.clone() for n, g in grads.items()}
    torch.nn.utils.clip_grads_with_norm_(model.parameters(), 1.0, norm)
    numbers["clipped"] = whole_norm(grads, TABLE, mesh)
    return dict(model.named_parameters()), unclipped, numbers


def joined(parts: list[Tensors]) -> Tensors:
    return {n: unshard([p[n].detach() for p in parts], TABLE[n].shard_dim) for n in parts[0]}


VARIANTS: list[dict[str, Any]] = [
    {},
    {"placement": "post"},
    {"placement": "deepnorm"},
    {"placement": "sandwich"},
    {"recompute": "layer"},
    {"fused_attention": False, "gelu": "erf", "loss_chunk_tokens": 7, "residual_scale": 0.5},
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
    assert grads.keys() == one_weights.keys()
    for name, expected in one_grads.items():
        assert (grads[name] - expected).norm() <= 1e-5 * expected.norm(), name
    for part in parts:
        for name, value in part[2].items():
            torch.testing.assert_close(value, one_numbers[name], rtol=1e-5, atol=1e-5)


def test_replicated_gradients_are_equal_on_all_ranks() -> None:
    first, second = run_ranks(step, 2, {})
    for name, grad in first[1].items():
        if TABLE[name].shard_dim is None:
            torch.testing.assert_close(second[1][name], grad, rtol=1e-6, atol=1e-7)


def step_without_f(rank: int, world_size: int) -> tuple[Tensors, Tensors, Tensors]:
    lose_f()
    return step(rank, world_size, {})


def test_a_lost_backward_all_reduce_shows_in_the_gradients_not_in_the_loss() -> None:
    right, wrong = run_ranks(step, 2, {}), run_ranks(step_without_f, 2)
    assert torch.equal(wrong[0][2]["loss"], right[0][2]["loss"])
    name = "layers.0.attention.norm.weight"
    assert relative_error(wrong[0][1][name], right[0][1][name]) > 0.1


class Collectives(TorchDispatchMode):
    """Records (operation, bytes) of every collective."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            tensors = args[0] if isinstance(args[0], list) else [args[0]]
            size = sum(t.numel() * t.element_size() for t in tensors)
            self.seen.append((func._opname, size))
        return func(*args, **(kwargs or {}))


def collectives(rank: int, world_size: int, recompute: str) -> tuple[list[Any], list[Any]]:
    group = build_mesh({"tensor": world_size}, "cpu").tensor
    model = tiny_gpt(group, recompute=recompute)
    tokens, targets = tiny_batch()
    with Collectives() as forward:
        loss = model.loss(tokens, targets)
    with Collectives() as backward:
        loss.backward()
    return forward.seen, backward.seen


@pytest.mark.parametrize("recompute", ["none", "layer"])
def test_two_all_reduces_forward_and_two_backward_per_layer_and_no_more(recompute: str) -> None:
    samples = 3
    hidden = ("allreduce_", samples * SEQ * HIDDEN * 4)  # b * s * h fp32
    scalar = ("allreduce_", samples * SEQ * 4)  # one number per token
    for forward, backward in run_ranks(collectives, 2, recompute):
        assert forward == [hidden] * (1 + 2 * LAYERS) + [scalar] * 3
        # Recomputation repeats g, except the last of a layer, whose output backward never needs.
        assert backward == [hidden] * (1 + (3 if recompute == "layer" else 2) * LAYERS)


def dropped(rank: int, world_size: int, recompute: str) -> tuple[Tensors, Tensors]:
    """Masks of both streams, and the gradients of a model with dropout."""
    mesh = build_mesh({"tensor": world_size}, "cpu")
    streams = RandomStreams(3, tensor=mesh.tensor)
    outside = torch.rand(4)
    with streams.tensor_parallel():
        inside = torch.rand(4)
    with contextlib.suppress(KeyError), streams.tensor_parallel():
        again = torch.rand(4)
        raise KeyError  # the stream keeps its place when an error leaves it
    after = torch.rand(4)
    model = tiny_gpt(mesh.tensor, recompute=recompute, dropout=0.3)
    model.loss(*tiny_batch()).backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {"outside": outside, "inside": inside, "again": again, "after": after}, grads


def test_streams_agree_outside_and_differ_inside_the_parallel_regions() -> None:
    (a, _), (b, _) = run_ranks(dropped, 2, "none")
    for name in ("outside", "after"):
        assert torch.equal(a[name], b[name])
    assert not torch.equal(a["inside"], b["inside"])
    assert not torch.equal(a["inside"], a["again"])
    assert not torch.equal(a["outside"], a["after"])


def test_recomputation_draws_the_same_masks() -> None:
    plain, again = run_ranks(dropped, 2, "none"), run_ranks(dropped, 2, "layer")
    for (_, expected), (_, grads) in zip(plain, again, strict=True):
        for name, grad in expected.items():
            torch.testing.assert_close(grads[name], grad, rtol=1e-6, atol=1e-7)


def unequal(rank: int, world_size: int, tp: int, name: str, swapped: bool = False) -> str:
    from hydratron.errors import HydratronError
    from hydratron.training.replicas import check_replicas

    mesh = build_mesh({"data": world_size // tp, "tensor": tp}, "cpu")
    model = tiny_gpt(mesh.tensor)
    check_replicas(model, TABLE, mesh)
    dist.barrier()
    if rank == 1:
        with torch.no_grad():
            values = model.get_parameter(name).view(-1)
            if swapped:
                values[[2, 3]] = values[[3, 2]]
            else:
                values[3] += 1e-6
    try:
        check_replicas(model, TABLE, mesh)
    except HydratronError as error:
        return str(error)
    return "passed"


def test_differing_copies_are_named_before_the_first_step() -> None:
    sharded, whole = "layers.1.mlp.sublayer.dense_h_to_4h.weight", "final_norm.bias"
    assert all(whole in message for message in run_ranks(unequal, 2, 2, whole))
    assert all(sharded in message for message in run_ranks(unequal, 2, 1, sharded))
    assert run_ranks(unequal, 2, 2, sharded) == ["passed"] * 2  # other shards may differ


def test_copies_of_the_same_numbers_in_another_order_differ() -> None:
    name = "position_embeddings"
    for tp in (1, 2):
        assert all(name in message for message in run_ranks(unequal, 2, tp, name, True))
