"""The stages of a pipeline, each planned by itself: first, last, and one for all in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hydratron.config.cluster import ClusterConfig
from hydratron.config.parallel import ParallelConfig
from hydratron.parallel.mesh import ENDS, PIPELINE
from hydratron.planner.closed_form import bubble_share
from hydratron.planner.extrapolate import Moment, Step
from hydratron.planner.recorder import UPDATE
from hydratron.planner.time_model import StepTime

Peaks = Mapping[Moment, Counter[str]]


@dataclass(frozen=True)
class StagePlan:
    """One stage, and all that are like it.

    `first`, `last`: the numbers of the stages; `in_flight`: micro-batches whose activations it
    holds at a time; `seconds` of a step in which it does not wait.
    """

    first: int
    last: int
    in_flight: int
    parameters: int
    peak_bytes: int
    seconds: float

    @property
    def label(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def kinds(stages: int) -> list[tuple[int, int]]:
    """The stages as runs of like ones, by their first and last number.

    Those in between differ in what 1F1B has them hold: the first of them holds the most.
    """
    middle = [(1, stages - 2)] if stages > 2 else []
    return [(0, 0), *middle, (stages - 1, stages - 1)]


def in_flight(parallel: ParallelConfig, stage: int, micro_batches: int) -> int:
    """Micro-batches that a stage has sent forward and not yet backward, at most."""
    if parallel.pipeline_schedule == "gpipe":
        return micro_batches
    return min(micro_batches, parallel.pipeline_model_parallel_size - stage)


def peaks_of(parallel: ParallelConfig, micro_batches: int, run: Callable[[int], Peaks]) -> Peaks:
    """The peaks of a step of any number of micro-batches, from `run` on a few of them.

    Once each stage does all that its schedule has it do, one more costs as many bytes as the one
    before: GPipe's activations, or the room that torch keeps for each that is received.
    """
    enough = 2
    if parallel.pipeline_schedule == "1f1b":
        enough = parallel.pipeline_model_parallel_size + 1
    if micro_batches <= enough + 1:
        return run(micro_batches)
    fewer, more = run(enough), run(enough + 1)
    times = micro_batches - enough
    return {
        moment: Counter(
            {
                kind: held[kind] + times * (more[moment][kind] - held[kind])
                for kind in {*held, *more[moment]}
            }
        )
        for moment, held in fewer.items()
        if moment in more
    }


def sending_seconds(
    step: Step, micro_batches: int, parallel: ParallelConfig, cluster: ClusterConfig
) -> float:
    """What a stage sends to its neighbours, and the sum of the gradients that both ends hold."""
    replicas = parallel.tensor_model_parallel_size * parallel.data_parallel_size
    per_node = cluster.gpus_per_node
    # Ranks of neighbouring stages are as many apart as a stage has ranks.
    far = replicas >= per_node or (replicas * parallel.pipeline_model_parallel_size > per_node)
    bandwidth, share = cluster.link_gbps, cluster.link_efficiency
    if far:
        bandwidth = min(bandwidth, cluster.node_gbps / min(replicas, per_node))
        share = cluster.node_efficiency
    sent = 0.0
    for call in step.collectives:
        if call.group in (PIPELINE, ENDS) and call.operation != "recv":
            times = 1 if call.phase == UPDATE else micro_batches
            rounds = 1.0 if call.operation == "send" else 2 * (call.size - 1) / call.size
            sent += times * rounds * call.bytes
    return sent / (bandwidth * 1e9 * share)


def with_waiting(
    slowest: StepTime, update: float, parallel: ParallelConfig, micro_batches: int
) -> StepTime:
    """The time of a step of the slowest stage, whose `update` seconds are no micro-batch's.

    It waits for p - 1 micro-batches: until the first one has come, and while the last one goes
    on (GPipe, section 2).
    """
    share = bubble_share(parallel.pipeline_model_parallel_size, micro_batches)
    return replace(slowest, idle=(slowest.total - update) * share / (1 - share))
