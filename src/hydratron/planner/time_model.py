"""How long a step takes: a roofline for each operation, a ring for each collective, a fixed cost.

The time is a sum of five terms, each a lower bound that the hardware's constants give, divided by
the share of it that real jobs reach (`ClusterConfig`).  Nothing overlaps: communication of the
tensor group cannot, and ours of the data group does not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from hydratron.config.cluster import ClusterConfig
from hydratron.config.parallel import ParallelConfig
from hydratron.planner.extrapolate import Step
from hydratron.planner.recorder import UPDATE, Collective


@dataclass(frozen=True)
class Terms:
    """Seconds of a step at the full speed of the hardware, and `kernels`, how many are started."""

    compute: float
    memory: float
    tensor: float
    data: float
    kernels: float


TERMS = tuple(field.name for field in fields(Terms))


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step of one rank, by term.

    Of a stage of a pipeline also `sends`, what goes from stage to stage, and `idle`, when it waits.
    """

    compute: float
    memory: float
    tensor: float
    data: float
    kernels: float
    sends: float = 0.0
    idle: float = 0.0

    @property
    def total(self) -> float:
        return sum(asdict(self).values())

    @property
    def tensor_share(self) -> float:
        """The share of the step that the tensor group's collectives take."""
        return self.tensor / self.total


def terms(
    step: Step, micro_batches: int, parallel: ParallelConfig, cluster: ClusterConfig
) -> Terms:
    """Of a step whose forward and backward run `micro_batches` times."""
    compute = memory = kernels = 0.0
    for work in step.work:
        times = 1 if work.phase == UPDATE else micro_batches
        at_peak = work.flops / (cluster.peak_tflops * 1e12)
        moving = work.bytes / (cluster.memory_gbps * 1e9)
        if at_peak > moving:
            compute += times * at_peak
        else:
            memory += times * moving
        kernels += times * work.calls
    sent = {"tensor": 0.0, "data": 0.0}
    for call in step.collectives:
        if call.group in sent:
            times = 1 if call.phase == UPDATE else micro_batches
            sent[call.group] += times * ring_seconds(call, parallel, cluster)
            kernels += times
    return Terms(compute, memory, sent["tensor"], sent["data"], kernels)


def ring_seconds(call: Collective, parallel: ParallelConfig, cluster: ClusterConfig) -> float:
    """What passes the slowest link of a ring, at its bandwidth (Patarasuk and Yuan 2009).

    2 (n - 1) / n of the bytes of an all-reduce, whose halves are a reduce-scatter and an
    all-gather; the latter counts the bytes of one rank's part.
    """
    tp = parallel.tensor_model_parallel_size
    tensor_far, data_far = leaves_host(parallel, cluster)
    bandwidth = cluster.link_gbps
    if tensor_far if call.group == "tensor" else data_far:
        # Every ring that leaves the host shares its network: one for each rank of a replica in it.
        rings = 1 if call.group == "tensor" else min(tp, cluster.gpus_per_node)
        bandwidth = min(bandwidth, cluster.node_gbps / rings)
    halves = {"reduce_scatter": 1.0, "allgather": float(call.size)}.get(call.operation, 2.0)
    return halves * (call.size - 1) / call.size * call.bytes / (bandwidth * 1e9)


def leaves_host(parallel: ParallelConfig, cluster: ClusterConfig) -> tuple[bool, bool]:
    """Whether the tensor group and the data group reach over more than one host."""
    tp = parallel.tensor_model_parallel_size
    tensor = tp > cluster.gpus_per_node
    # A stage's ranks follow each other: the pipeline's are the outermost.
    return tensor, tp * parallel.data_parallel_size > cluster.gpus_per_node


def step_time(found: Terms, parallel: ParallelConfig, cluster: ClusterConfig) -> StepTime:
    """The terms at the efficiencies of the cluster."""
    shares = (cluster.link_efficiency, cluster.node_efficiency)
    tensor, data = (shares[far] for far in leaves_host(parallel, cluster))
    return StepTime(
        compute=found.compute / cluster.compute_efficiency,
        memory=found.memory / cluster.memory_efficiency,
        tensor=found.tensor / tensor,
        data=found.data / data,
        kernels=found.kernels * cluster.kernel_microseconds * 1e-6,
    )
