"""The plan of a job: what one rank sends, computes and holds in a step, and for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hydratron.config.cost import BERT_VOCABULARY, GPT2_VOCABULARY
from hydratron.config.schema import Config
from hydratron.planner.closed_form import step_flops
from hydratron.planner.dry_run import STATES, dry_run
from hydratron.planner.extrapolate import DEEP, SHALLOW, Moment, Step, extrapolated, whole
from hydratron.planner.recorder import UPDATE
from hydratron.planner.time_model import StepTime, Terms, step_time, terms

PAPER = "paper_fp16"


@dataclass(frozen=True)
class JobPlan:
    """`step` holds one micro-batch's forward and backward, and the update."""

    config: Config
    vocab_size: int
    step: Step
    terms: Terms
    time: StepTime

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
        """What `flops` is by the published formula, for this rank of the tensor group."""
        model = self.config.model
        tp = self.config.parallel.tensor_model_parallel_size
        padded = model.padded(self.vocab_size)
        sequences, share = self.config.micro_batch_size, self.config.data.masking_prob
        return step_flops(model, padded, sequences, share) / tp

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
    """Run two steps of rank 0 without data, in full or at two depths.  Sends nothing."""
    config, vocab_size = planned_config(config)
    half = config.plan.numerics == PAPER
    layers = config.model.num_layers
    # The second one finds gradients to add to; further ones are like it.
    times = min(config.accumulation, 2)

    def run(depth: int, times: int) -> Step:
        found = dry_run(config, vocab_size, num_layers=depth, micro_batches=times, half=half)
        return per_micro_batch(whole(found), times)

    if config.plan.full or layers <= DEEP:
        step = run(layers, times)
    else:
        step = extrapolated(run(SHALLOW, times), run(DEEP, times), run(layers, 0), layers)
    found = terms(step, config.accumulation, config.parallel, config.cluster)
    return JobPlan(
        config, vocab_size, step, found, step_time(found, config.parallel, config.cluster)
    )


def per_micro_batch(step: Step, times: int) -> Step:
    """A step in which forward and backward ran `times` times, as if once, on the average."""
    if times <= 1:
        return step
    places = [i for i, c in enumerate(step.collectives) if c.phase != UPDATE]
    # Without the later micro-batches, which are one run of calls.
    later = slice(places[0] + len(places) // times, places[-1] + 1) if places else slice(0, 0)
    collectives = [*step.collectives]
    del collectives[later]
    work = tuple(
        work
        if work.phase == UPDATE
        else replace(
            work, calls=work.calls / times, flops=work.flops / times, bytes=work.bytes / times
        )
        for work in step.work
    )
    return replace(step, collectives=tuple(collectives), work=work)
