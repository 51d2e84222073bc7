"""The plan of a job: what one rank sends, computes and holds in a step, and for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from hydratron.config.cost import BERT_VOCABULARY, GPT2_VOCABULARY
from hydratron.config.planning import refuse_backends
from hydratron.config.schema import Config
from hydratron.errors import HydratronError
from hydratron.planner.closed_form import step_flops
from hydratron.planner.dry_run import STATES, dry_run
from hydratron.planner.extrapolate import (
    DEEP,
    SHALLOW,
    Moment,
    Step,
    extrapolated,
    renumbered,
    whole,
)
from hydratron.planner.recorder import UPDATE, Collective
from hydratron.planner.stages import (
    Peaks,
    StagePlan,
    in_flight,
    kinds,
    peaks_of,
    sending_seconds,
    with_waiting,
)
from hydratron.planner.time_model import StepTime, Terms, step_time, terms

PAPER = "paper_fp16"


@dataclass(frozen=True)
class JobPlan:
    """`step` holds one micro-batch's forward and backward, and the update.

    Of a pipeline it is that of the stage that holds the most, on its first `rank`, the time that
    of the slowest one, and `stages` are all of them.
    """

    config: Config
    vocab_size: int
    step: Step
    terms: Terms
    time: StepTime
    stages: tuple[StagePlan, ...] = ()
    rank: int = 0

    @property
    def micro_batches(self) -> int:
        return self.config.accumulation

    @property
    def flops(self) -> Mapping[str, float]:
        """FLOPs of one micro-batch on this rank, by phase."""
        found: Counter[str] = Counter()
        for work in self.step.work:
            found[work.phase] += round(work.flops)
        return found

    @property
    def closed_form_flops(self) -> float:
        """What `flops` is by the published formula, for one rank of a replica, on the average."""
        model, parallel = self.config.model, self.config.parallel
        ranks = parallel.tensor_model_parallel_size * parallel.pipeline_model_parallel_size
        padded = model.padded(self.vocab_size)
        sequences, share = self.config.micro_batch_size, self.config.data.masking_prob
        return step_flops(model, padded, sequences, share) / ranks

    @property
    def peak(self) -> tuple[Moment, Counter[str]]:
        """Where this rank holds the most, and its bytes there by category."""
        return max(self.step.peaks.items(), key=lambda item: item[1].total())

    @property
    def state_bytes(self) -> int:
        """What this rank holds whatever the batch: weights, gradients and optimizer."""
        held: Counter[str] = Counter()
        for peak in self.step.peaks.values():
            held |= Counter({kind: peak[kind] for kind in STATES})
        return held.total()

    @property
    def peak_bytes(self) -> int:
        return self.peak[1].total()


def planned_config(config: Config) -> tuple[Config, int]:
    """The job with what `plan.` asks for, and its vocabulary before padding."""
    published = {"gpt": GPT2_VOCABULARY, "bert": BERT_VOCABULARY}[config.model.architecture]
    attention = config.plan.attention or config.model.attention
    if attention == "auto":  # What is planned is on GPUs, the planner's tensors are not.
        attention = "sdpa"
    model = replace(config.model, attention=attention)
    return replace(config, model=model), config.plan.vocab_size or published


def plan_job(config: Config) -> JobPlan:
    """Run a step of one rank of each stage without data, in full or at two depths.

    Without a pipeline that is rank 0 alone.  Sends nothing.  Raises ConfigError for what DTensor
    would send, which nobody wrote down.
    """
    if config.parallel.spmd:
        refuse_backends([config.parallel.backend])
    config, vocab_size = planned_config(config)
    if config.parallel.pipeline_model_parallel_size > 1:
        return _plan_stages(config, vocab_size)
    half = config.plan.numerics == PAPER
    # The second one finds gradients to add to; further ones are like it.
    times = min(config.accumulation, 2)

    def run(depth: int, times: int) -> Step:
        found = dry_run(config, vocab_size, num_layers=depth, micro_batches=times, half=half)
        return per_micro_batch(whole(found), times)

    step = _at_depth(config, config.model.num_layers, times, run)
    found = terms(step, config.accumulation, config.parallel, config.cluster)
    return JobPlan(
        config, vocab_size, step, found, step_time(found, config.parallel, config.cluster)
    )


def _at_depth(config: Config, layers: int, times: int, run: Callable[[int, int], Step]) -> Step:
    """A step of a rank that has `layers` layers: `run` in full, or from two depths."""
    if config.plan.full or layers <= DEEP:
        return run(layers, times)
    return extrapolated(run(SHALLOW, times), run(DEEP, times), run(layers, 0), layers)


def _plan_stages(config: Config, vocab_size: int) -> JobPlan:
    """Every kind of stage; the plan is that of the one that holds the most."""
    parallel, cluster, count = config.parallel, config.cluster, config.accumulation
    steps, times, found, parameters = [], [], [], 0
    for first, last in kinds(parallel.pipeline_model_parallel_size):
        step = _stage_step(config, vocab_size, first)
        time = step_time(terms(step, count, parallel, cluster), parallel, cluster)
        time = replace(time, sends=sending_seconds(step, count, parallel, cluster))
        peak = max(held.total() for held in step.peaks.values())
        holds = in_flight(parallel, first, count)
        found.append(StagePlan(first, last, holds, step.parameters, peak, time.total))
        parameters += (last - first + 1) * step.model_parameters
        steps.append(step)
        times.append(time)
    heaviest = max(range(len(found)), key=lambda i: found[i].peak_bytes)
    slowest = max(range(len(found)), key=lambda i: times[i].total)
    update = terms(steps[slowest], 0, parallel, cluster)
    once = step_time(update, parallel, cluster).total
    once += sending_seconds(steps[slowest], 0, parallel, cluster)
    ranks = parallel.tensor_model_parallel_size * parallel.data_parallel_size
    return JobPlan(
        config,
        vocab_size,
        replace(steps[heaviest], model_parameters=parameters),
        terms(steps[slowest], count, parallel, cluster),
        with_waiting(times[slowest], once, parallel, count),
        tuple(found),
        rank=found[heaviest].first * ranks,
    )


def _stage_step(config: Config, vocab_size: int, stage: int) -> Step:
    """The first rank of a stage: one micro-batch forward and back, and peaks of its schedule."""
    stages, half = config.parallel.pipeline_model_parallel_size, config.plan.numerics == PAPER
    layers = config.model.num_layers // stages

    @cache
    def recorded(schedule: str, depth: int, times: int) -> Step:
        parallel = replace(config.parallel, pipeline_schedule=schedule)
        found = dry_run(
            replace(config, parallel=parallel),
            vocab_size,
            num_layers=depth * stages,
            micro_batches=times,
            half=half,
            stage=stage,
        )
        return renumbered(whole(found), -depth * stage)

    def run(depth: int, times: int) -> Step:
        # What a micro-batch takes is the same by either schedule.
        step = recorded("gpipe", depth, times)
        if not times:
            return step

        def peaks(times: int) -> Peaks:
            return recorded(config.parallel.pipeline_schedule, depth, times).peaks

        found = peaks_of(config.parallel, config.accumulation, peaks)
        return replace(per_micro_batch(step, times), peaks=found)

    step = _at_depth(config, layers, min(config.accumulation, 2), run)
    return renumbered(step, layers * stage)


def per_micro_batch(step: Step, times: int) -> Step:
    """A step in which forward and backward ran `times` times, as if once, on the average."""
    if times <= 1:
        return step
    places = [i for i, c in enumerate(step.collectives) if c.phase != UPDATE]
    collectives = [*step.collectives]
    if places:
        # Those of all micro-batches are one run of calls.
        all_of_them = slice(places[0], places[-1] + 1)
        collectives[all_of_them] = _of_one(collectives[all_of_them], times)
    work = tuple(
        work
        if work.phase == UPDATE
        else replace(
            work, calls=work.calls / times, flops=work.flops / times, bytes=work.bytes / times
        )
        for work in step.work
    )
    return replace(step, collectives=tuple(collectives), work=work)


def _of_one(calls: Sequence[Collective], times: int) -> list[Collective]:
    """One micro-batch's forward and backward, of several ones': each back before the next one goes
    forward, or all forward before the first goes back."""
    for ahead in range(len(calls) // times + 1):
        forward, backward = calls[:ahead], calls[ahead * times :]
        own = backward[: len(backward) // times]
        if [*forward] * times == calls[: ahead * times] and [*own] * times == [*backward]:
            return [*forward, *own]
    raise HydratronError("plan: micro-batches differ from each other")
