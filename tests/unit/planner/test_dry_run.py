"""What a step holds: against the published formula, and against a real step's allocations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from hydratron.config.schema import Config, DataConfig
from hydratron.models.init import initialize
from hydratron.parallel.mesh import Mesh
from hydratron.parallel.random import RandomStreams
from hydratron.planner.dry_run import dry_run
from hydratron.planner.rank import planned_rank, zeros
from tests.helpers.planned import small_job

S, B, H = 256, 4, 1024


def kept_per_layer(config: Config) -> float:
    """Bytes that every further layer adds to what is held when all of them have run."""
    shallow, deep = (
        dry_run(config, 60, num_layers=depth, micro_batches=1, half=True) for depth in (2, 4)
    )
    end = ("forward", "final_norm")
    return (deep.peaks[end]["activations"] - shallow.peaks[end]["activations"]) / 2


def half_job(tp: int, **changes: Any) -> Config:
    return small_job(
        tp, model__hidden_size=H, model__num_attention_heads=16, model__seq_length=S,
        model__dropout=0.1, trainer__global_batch_size=B, **changes,
    )  # fmt: skip


@pytest.mark.parametrize("tp", [1, 8])
def test_a_layer_keeps_what_the_formula_says(tp: int) -> None:
    """s b h (10 + 24 / t + 5 a s / h t) (Korthikanti et al. 2022, arXiv:2205.05198)."""
    config = half_job(tp, model__attention="manual")
    expected = S * B * H * (10 + 24 / tp + 5 * 16 * S / (H * tp))
    assert kept_per_layer(config) == pytest.approx(expected, rel=0.01)


def test_a_share_of_the_sequence_is_a_share_of_all_that_a_layer_keeps() -> None:
    """s b h (34 + 5 a s / h) / t, and 10 of it whole without (same source, Table 2)."""
    config = half_job(8, model__attention="manual", parallel__sequence_parallel=True)
    expected = S * B * H * (34 + 5 * 16 * S / H) / 8
    assert kept_per_layer(config) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("half", [False, True])
def test_a_replica_holds_the_optimizers_state_of_its_rows(half: bool) -> None:
    """8 / dp bytes a parameter of Adam's; of the paper's numbers 12 / dp, with fp32 masters."""
    for replicas in (1, 4):
        config = small_job(1, replicas, parallel__distributed_optimizer=True)
        found = dry_run(config, 60, num_layers=2, micro_batches=1, half=half)
        held = max(found.peaks.values(), key=lambda peak: peak.total())
        share = found.parameters / replicas
        # Besides, a count of steps for each parameter.
        assert held["optimizer"] == pytest.approx(8 * share, rel=0.01)
        assert held["masters"] == (pytest.approx(4 * share, rel=0.01) if half else 0)


def test_a_forward_has_no_gradients_of_the_step_before_and_one_copy_of_the_logits() -> None:
    config = small_job(trainer__global_batch_size=4)
    found = dry_run(config, 60, num_layers=2, micro_batches=1)
    forward = [peak for (phase, _), peak in found.peaks.items() if phase == "forward"]
    assert forward
    assert not any(peak["gradients"] for peak in forward)
    logits = 4 * 4 * config.model.seq_length * config.model.padded(16_000)
    held = dry_run(config, 16_000, num_layers=2, micro_batches=1).peaks["forward", ""]
    assert held["activations"] < 2 * logits


def test_fused_attention_keeps_no_scores() -> None:
    assert kept_per_layer(half_job(1)) == pytest.approx(S * B * H * 34, rel=0.01)


def test_a_recomputed_layer_keeps_its_input() -> None:
    config = half_job(8, model__attention="manual", model__recompute="layer")
    assert kept_per_layer(config) == 2 * S * B * H


def real_peak(config: Config, vocab_size: int) -> int:
    """The most bytes that torch's CPU allocator has given out at a time in a second real step."""
    mesh = Mesh()
    # One cycle; torch 2.11 warns unless it is told to keep the events of all.
    on = [ProfilerActivity.CPU]
    with profile(activities=on, profile_memory=True, acc_events=True) as profiled:
        worker = planned_rank(config, vocab_size, mesh, RandomStreams(1))
        initialize(worker.network, worker.table, 1, mesh.tensor, vocab_size)
        batch = zeros(config)
        if config.model.architecture == "bert":
            chosen = (
                int(DataConfig().masking_prob * config.model.seq_length) * config.micro_batch_size
            )
            batch["labels"].fill_(-1).view(-1)[:chosen] = 0
        worker.step(batch, config.accumulation)
        with record_function("second step"):
            worker.step(batch, config.accumulation)
    assert profiled.profiler is not None
    assert profiled.profiler.kineto_results is not None
    events = profiled.profiler.kineto_results.events()
    (began,) = (event.start_ns() for event in events if event.name() == "second step")
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held) if event.start_ns() >= began else 0
    return peak


@pytest.mark.parametrize(
    ("where", "vocab_size", "changes"),
    [
        (("forward", ""), 8000, {}),
        (
            ("backward", "layers.0.attention.sublayer"),
            60,
            {"model__attention": "manual", "model__recompute": "layer", "model__seq_length": 512},
        ),
        (
            ("backward", ""),
            8000,
            {"model__architecture": "bert", "trainer__micro_batch_size": 2},
        ),
    ],
    ids=["gpt", "recomputed", "bert"],
)
def test_a_real_step_holds_what_is_planned(
    where: tuple[str, str], vocab_size: int, changes: dict[str, Any]
) -> None:
    options: dict[str, Any] = {
        "model__hidden_size": 256, "model__seq_length": 256, "trainer__global_batch_size": 4,
    }  # fmt: skip
    config = small_job(**options | changes)
    planned = dry_run(config, vocab_size, num_layers=2, micro_batches=config.accumulation)
    moment, held = max(planned.peaks.items(), key=lambda item: item[1].total())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        real = real_peak(config, vocab_size)
    finally:
        torch.set_num_threads(threads)
    assert held.total() > 2e7
    # Small things that never become tensors, such as the buffers of a kernel, are not planned.
    assert real == pytest.approx(held.total(), rel=0.005)
    assert moment == where
