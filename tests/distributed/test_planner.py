"""What a plan lists is what a real run sends: the same calls, in the same order."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning as pl
import pytest
from lightning.pytorch.callbacks import Callback
from torch.profiler import ProfilerActivity, profile, record_function

from hydratron.config.schema import Config
from hydratron.job import JobFolder
from hydratron.launch.environment import one_host
from hydratron.models.init import initialize
from hydratron.parallel.mesh import build_mesh
from hydratron.parallel.random import RandomStreams
from hydratron.planner.dry_run import dry_run
from hydratron.planner.modules import ModuleNames
from hydratron.planner.plan import plan_job
from hydratron.planner.rank import planned_rank, zeros
from hydratron.planner.recorder import STAGES, UPDATE, Collective, Recorder
from tests.helpers.planned import VOCAB, small_job, spelled_out
from tests.helpers.prepared import synthetic_prepared
from tests.helpers.ranks import run_ranks


class Window(Callback):
    """Records all that passes from the start of the second step to the start of the third.

    Whatever Lightning or the metrics send in between is part of it.
    """

    def __init__(self) -> None:
        self.calls: list[Collective] | None = None
        self.inside = ExitStack()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 1:
            modules = ModuleNames()
            self.recorder = Recorder(modules)
            self.recorder.groups(pl_module.mesh_strategy.mesh)
            self.inside.enter_context(modules.watching(pl_module.network))
            self.inside.enter_context(self.recorder)
        elif batch_idx == 2:
            self.inside.close()
            self.calls = self.recorder.collectives


def recorded_rank(
    rank: int, world_size: int, jobs: list[tuple[Config, Path]]
) -> list[list[Collective] | None]:
    from hydratron.training import train as training

    os.environ.update(one_host(rank, world_size))
    plain, found = training._trainer, []
    for config, folder in jobs:
        window = Window()

        def watched(config: Config, own: list[Callback], *more: Any, window: Any = window) -> Any:
            return plain(config, [*own, window], *more)

        with patch.object(training, "_trainer", watched):
            assert training.train(config, JobFolder(folder), None)["status"] == "completed"
        found.append(window.calls)
    return found


def with_lightnings_own(calls: list[Collective], ranks: int = 2) -> list[Collective]:
    """The planned calls of one step, and one of Lightning, which is no part of any plan.

    Before every step Lightning tells all ranks, in eight bytes, whether the first one has been
    asked to end.  The window opens after that of its own step, and holds that of the next one.
    """
    # Of two ranks the only axis with both is the world.
    axis, size = (calls[0].group, calls[0].size) if ranks == 2 else ("world", 0)
    return [*calls, Collective(UPDATE, "", "broadcast", axis, size, 8)]


# Recomputation, micro-batches, and whether the sequence or the optimizer's state is split.
CASES = [
    *product(("none", "layer"), (4, 2), (False,)),
    ("layer", 2, True), ("mlp", 4, True),
]  # fmt: skip


STAGED = [("gpipe", "none", 2), ("1f1b", "layer", 3)]


@pytest.mark.parametrize("tp", [1, 2], ids=["pp2", "tp2_pp2 in sequence"])
def test_every_stage_sends_what_is_planned(tp: int, tmp_path: Path) -> None:
    data = synthetic_prepared(tmp_path / "data", VOCAB)
    configs = [
        small_job(
            tp,
            data__prepared=str(data),
            model__recompute=recompute,
            trainer__global_batch_size=2 * count,
            trainer__micro_batch_size=2,
            trainer__peak_flops=1e12,
            trainer__val_every_n_steps=100,
            checkpoint__at_end=False,
            parallel__transport="gloo",
            parallel__sequence_parallel=tp > 1,
            parallel__pipeline_model_parallel_size=2,
            parallel__pipeline_schedule=schedule,
        )
        for schedule, recompute, count in STAGED
    ]
    folders = [tmp_path / str(number) for number in range(len(configs))]
    for folder in folders:
        folder.mkdir()
    jobs = list(zip(configs, folders, strict=True))
    ranks = run_ranks(recorded_rank, 2 * tp, jobs, timeout=180)
    plan = plan_job(configs[0])
    spelled = spelled_out(plan.step.collectives, configs[0].accumulation)
    assert Counter(with_lightnings_own(spelled, 2 * tp)) == Counter(ranks[plan.rank][0])
    for rank, found in enumerate(ranks):
        for config, real in zip(configs, found, strict=True):
            count = config.accumulation
            planned = dry_run(config, VOCAB, num_layers=2, micro_batches=count, stage=rank // tp)
            assert with_lightnings_own(list(planned.collectives), 2 * tp) == real
            assert len([call for call in real if call.phase == STAGES]) == 2 * count


@pytest.mark.parametrize(("tp", "dp"), [(2, 1), (1, 2)], ids=["tp2", "dp2"])
def test_a_real_step_sends_what_is_planned(tp: int, dp: int, tmp_path: Path) -> None:
    data = synthetic_prepared(tmp_path / "data", VOCAB)
    configs = [
        small_job(
            tp,
            dp,
            data__prepared=str(data),
            model__recompute=recompute,
            model__dropout=0.1,
            trainer__global_batch_size=4 * dp,
            trainer__micro_batch_size=micro,
            trainer__peak_flops=1e12,
            trainer__val_every_n_steps=100,
            checkpoint__at_end=False,
            parallel__transport="gloo",  # What goes through shared memory torch does not see.
            parallel__sequence_parallel=split and tp > 1,
            parallel__distributed_optimizer=split and dp > 1,
        )
        for recompute, micro, split in CASES
    ]
    folders = [tmp_path / str(number) for number in range(len(configs))]
    for folder in folders:
        folder.mkdir()
    jobs = list(zip(configs, folders, strict=True))
    first, second = run_ranks(recorded_rank, 2, jobs, timeout=180)
    for config, real, other in zip(configs, first, second, strict=True):
        micro_batches = config.accumulation
        in_full = dry_run(config, VOCAB, num_layers=2, micro_batches=micro_batches)
        assert with_lightnings_own(list(in_full.collectives)) == real
        assert other == real
        planned = spelled_out(plan_job(config).step.collectives, micro_batches)
        assert planned == list(in_full.collectives)
        phases = {call.phase for call in real}
        expected = {"forward", "backward", "update"}
        expected |= {"recompute"} if config.model.recompute != "none" else set()
        assert phases == (expected if tp > 1 else {"update"})


def most_held(rank: int, world_size: int, config: Config) -> int:
    """The most bytes that this rank's allocator has given out at a time in a second real step."""
    mesh = build_mesh(config.parallel.axes, "cpu")
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profiled:
        worker = planned_rank(config, VOCAB, mesh, RandomStreams(1))
        initialize(worker.network, worker.table, 1, mesh.tensor, VOCAB)
        worker.step(zeros(config), config.accumulation)
        with record_function("second step"):
            worker.step(zeros(config), config.accumulation)
    assert profiled.profiler is not None
    assert profiled.profiler.kineto_results is not None
    events = sorted(profiled.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    (began,) = (event.start_ns() for event in events if event.name() == "second step")
    held = peak = 0
    for event in events:
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held) if event.start_ns() >= began else 0
    return peak


@pytest.mark.parametrize("schedule", ["1f1b", pytest.param("gpipe", marks=pytest.mark.whole)])
def test_every_stage_holds_what_is_planned(schedule: str) -> None:
    config = small_job(
        model__hidden_size=192,
        model__seq_length=128,
        trainer__global_batch_size=12,
        trainer__micro_batch_size=2,
        parallel__pipeline_model_parallel_size=2,
        parallel__pipeline_schedule=schedule,
    )
    # Six micro-batches, planned from two to four.
    planned = [stage.peak_bytes for stage in plan_job(config).stages]
    real = run_ranks(most_held, 2, config, timeout=120)
    assert min(planned) > 1e7
    # gloo keeps what goes to the next stage until it is waited for, and torch the last send
    # until the next takes its place: as the ranks happen to run, none, one or both are there.
    sent = 2 * (2 * 128 * 192 * 4)
    for held, plan in zip(real, planned, strict=True):
        assert plan * 0.999 <= held <= plan * 1.001 + sent
