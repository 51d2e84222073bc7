"""Whole plans: the published counts of the paper's largest model, and depth by a straight line."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import pytest

from hydratron.errors import HydratronError
from hydratron.planner.dry_run import dry_run
from hydratron.planner.extrapolate import extrapolated, whole
from hydratron.planner.plan import JobPlan, plan_job
from hydratron.planner.recorder import Collective
from tests.helpers.planned import small_job

LAYERS = 72
LAYER_BYTES = 8 * 1024 * 3072 * 2
KEPT = {"forward": 2, "backward": 2}
RECOMPUTED = {**KEPT, "recompute": 2}


def largest(**changes: Any) -> JobPlan:
    """The paper's 8.3 billion parameters on 512 GPUs (Table 2)."""
    options: dict[str, Any] = {
        "model__num_layers": LAYERS, "model__hidden_size": 3072, "model__num_attention_heads": 24,
        "model__seq_length": 1024, "model__vocab_multiple": 1024, "model__dropout": 0.1,
        "model__recompute": "layer", "plan__vocab_size": None, "trainer__precision": "bf16",
        "trainer__global_batch_size": 512, "trainer__micro_batch_size": 8,
    }  # fmt: skip
    return plan_job(small_job(tp=8, dp=64, **options | changes))


@pytest.fixture(scope="module")
def ours() -> JobPlan:
    return largest()


@pytest.fixture(scope="module")
def paper() -> JobPlan:
    return largest(plan__numerics="paper_fp16")


@pytest.fixture(scope="module")
def kept() -> JobPlan:
    return largest(model__recompute="none")


def in_layer(plan: JobPlan, layer: int) -> list[Collective]:
    return [c for c in plan.step.collectives if c.module.startswith(f"layers.{layer}.")]


def outside(plan: JobPlan, phase: str) -> list[tuple[str, int]]:
    """Module and bytes of the tensor group's calls outside of the layers."""
    return [
        (call.module, call.bytes)
        for call in plan.step.collectives
        if call.phase == phase and call.group == "tensor" and not call.module.startswith("layers")
    ]


@pytest.mark.parametrize(
    ("name", "tera"), [("ours", 71.4726), ("paper", 71.4726), ("kept", 53.8460)]
)
def test_flops_are_those_of_the_published_formula(
    name: str, tera: float, request: pytest.FixtureRequest
) -> None:
    plan: JobPlan = request.getfixturevalue(name)
    total = sum(plan.flops.values())
    assert total == round(plan.closed_form_flops)
    assert round(total / 1e12, 4) == tera
    b, s, h, vocab = 8, 1024, 3072, 51200
    factor, head = (96, 16) if name != "kept" else (72, 12)
    formula = factor * b * s * LAYERS * h * h * (1 + s / 6 / h + vocab / (head * LAYERS * h)) / 8
    assert total == pytest.approx(formula, rel=1e-12)
    assert plan.flops["update"] == 0


@pytest.mark.parametrize("name", ["ours", "paper", "kept"])
def test_parameters(name: str, request: pytest.FixtureRequest) -> None:
    plan: JobPlan = request.getfixturevalue(name)
    assert plan.step.parameters == 1_043_549_184
    assert plan.step.model_parameters == 8_317_040_640


@pytest.mark.parametrize(
    ("name", "expected"), [("ours", RECOMPUTED), ("paper", RECOMPUTED), ("kept", KEPT)]
)
def test_each_layer_reduces_twice_each_way(
    name: str, expected: dict[str, int], request: pytest.FixtureRequest
) -> None:
    plan: JobPlan = request.getfixturevalue(name)
    for layer in range(LAYERS):
        calls = in_layer(plan, layer)
        assert Counter(call.phase for call in calls) == expected
        assert {(c.operation, c.group, c.size, c.bytes) for c in calls} == {
            ("allreduce", "tensor", 8, LAYER_BYTES)
        }
    assert not in_layer(plan, LAYERS)


@pytest.mark.parametrize("name", ["ours", "paper"])
def test_embedding_head_and_cross_entropy(name: str, request: pytest.FixtureRequest) -> None:
    plan: JobPlan = request.getfixturevalue(name)
    (embedding, nbytes), *loss = outside(plan, "forward")
    # Autocast leaves the sum of embeddings in fp32.
    assert embedding == "word_embeddings"
    assert nbytes == LAYER_BYTES * (2 if name == "ours" else 1)
    assert loss == [("", 4 * 8 * 1024)] * 3
    assert outside(plan, "backward") == [("", LAYER_BYTES)]
    assert outside(plan, "recompute") == []
    # The norm of the gradients, whether to stop, and the loss, which are agreed on.
    assert outside(plan, "update") == [("", 24)]


@pytest.mark.parametrize(("name", "width"), [("ours", 4), ("paper", 2)])
def test_the_data_group_reduces_each_gradient_once(
    name: str, width: int, request: pytest.FixtureRequest
) -> None:
    plan: JobPlan = request.getfixturevalue(name)
    counts, *gradients, agreed = [c for c in plan.step.collectives if c.group == "data"]
    assert (counts.bytes, agreed.bytes) == (8, 24)
    assert sum(call.bytes for call in gradients) == width * plan.step.parameters
    assert {(c.phase, c.size) for c in gradients} == {("update", 64)}


def test_half_precision_holds_what_the_paper_held(paper: JobPlan) -> None:
    held = paper.peak[1]
    states = {"weights": 2, "gradients": 2, "masters": 4, "optimizer": 8}
    for kind, width in states.items():
        assert held[kind] == pytest.approx(width * paper.step.parameters, rel=1e-5), kind
    assert paper.state_bytes == pytest.approx(16 * paper.step.parameters, rel=1e-5)


def test_fp16_takes_the_bytes_of_bf16() -> None:
    bf16, fp16 = (plan_job(small_job(trainer__precision=name)) for name in ("bf16", "fp16"))
    assert fp16.step.collectives == bf16.step.collectives
    assert fp16.peak == bf16.peak
    assert fp16.state_bytes == bf16.state_bytes


def test_bert_is_near_the_published_formula() -> None:
    options: dict[str, Any] = {
        "model__architecture": "bert", "model__num_layers": 24, "model__hidden_size": 1024,
        "model__num_attention_heads": 16, "model__seq_length": 512, "plan__vocab_size": None,
    }  # fmt: skip
    plan = plan_job(small_job(**options))
    assert sum(plan.flops.values()) == pytest.approx(plan.closed_form_flops, rel=0.01)
    # The paper's 336M, Table 4; its vocabulary is padded further than these 30,528.
    assert plan.step.model_parameters == 336_297_858 - (30_592 - 30_528) * (1024 + 1)


@pytest.mark.parametrize("architecture", ["gpt", "bert"])
def test_both_kinds_of_attention_count_the_same_flops(architecture: str) -> None:
    config = small_job(model__architecture=architecture, model__recompute="layer")
    fused = plan_job(config)
    manual = plan_job(replace(config, plan=replace(config.plan, attention="manual")))
    assert manual.flops == fused.flops
    assert fused.flops["recompute"] > 0


@pytest.mark.parametrize(
    ("architecture", "layers", "placement"),
    [("gpt", 6, "pre"), ("bert", 7, "post")],
)
def test_extrapolated_is_what_a_full_run_finds(
    architecture: str, layers: int, placement: str
) -> None:
    config = small_job(
        tp=2, dp=2, model__architecture=architecture, model__num_layers=layers,
        model__hidden_size=512, model__dropout=0.1, trainer__micro_batch_size=2,
        model__layernorm={"placement": placement},
        model__recompute="layer" if architecture == "bert" else "none",
    )  # fmt: skip
    assert config.accumulation == 2
    line = plan_job(config)
    full = plan_job(replace(config, plan=replace(config.plan, full=True)))
    assert line.step.collectives == full.step.collectives
    # Gradients of more than one bucket, whose number is no line.
    assert sum(c.group == "data" for c in full.step.collectives) > 2
    assert line.step.parameters == full.step.parameters
    assert line.step.model_parameters == full.step.model_parameters
    assert set(line.step.work) == set(full.step.work)
    assert line.peak == full.peak
    assert line.step.peaks["update", ""] == full.step.peaks["update", ""]
    assert all(full.step.peaks[moment] == held for moment, held in line.step.peaks.items())
    assert {m for m in full.step.peaks if "layers" not in m[1]} <= line.step.peaks.keys()
    assert ("backward", f"layers.{layers - 1}.mlp.sublayer") in line.step.peaks
    assert asdict(line.terms) == pytest.approx(asdict(full.terms), rel=1e-12)


def test_layers_that_differ_are_not_extrapolated() -> None:
    config = small_job(tp=2)
    shallow, deep = (
        whole(dry_run(config, 60, num_layers=depth, micro_batches=1)) for depth in (2, 4)
    )
    update = replace(deep, collectives=deep.collectives[-1:])
    assert extrapolated(shallow, deep, update, 4).collectives == deep.collectives
    calls = list(deep.collectives)
    changed = next(i for i, call in enumerate(calls) if call.module.startswith("layers.2."))
    calls[changed] = replace(calls[changed], bytes=calls[changed].bytes + 4)
    with pytest.raises(HydratronError, match=r"layers differ .*; plan.full=true counts each"):
        extrapolated(shallow, replace(deep, collectives=tuple(calls)), update, 4)
