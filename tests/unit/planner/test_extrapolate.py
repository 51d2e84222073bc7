"""The calls of a deep network from those of two layers."""

from __future__ import annotations

from hydratron.planner.extrapolate import pattern, with_layers
from hydratron.planner.recorder import BACKWARD, FORWARD, RECOMPUTE, Collective


def call(phase: str, module: str, nbytes: int = 8) -> Collective:
    return Collective(phase, module, "allreduce", "tensor", 2, nbytes)


def step(layers: int) -> list[Collective]:
    """The calls in the order of a step that recomputes."""
    found = [call(FORWARD, "word_embeddings")]
    for n in range(layers):
        found += [call(FORWARD, f"layers.{n}.a", 16), call(FORWARD, f"layers.{n}.b", 24)]
    found += [call(FORWARD, ""), call(BACKWARD, "")]
    for n in reversed(range(layers)):
        found += [call(RECOMPUTE, f"layers.{n}.a", 16), call(BACKWARD, f"layers.{n}.a", 32)]
    return found


def test_layers_go_up_in_forward_and_down_in_backward() -> None:
    assert with_layers(step(2), 5) == step(5)
    assert with_layers(step(2), 2) == step(2)
    assert with_layers(step(2), 12) == step(12)


def test_two_micro_batches_go_up_and_down_twice() -> None:
    assert with_layers(step(2) * 2, 4) == step(4) * 2


def test_no_calls_stay_none() -> None:
    assert with_layers([], 7) == []


def test_the_pattern_of_a_layer() -> None:
    assert pattern("layers.12.mlp.norm") == "layers.*.mlp.norm"
    assert pattern("lm_head.norm") == "lm_head.norm"
