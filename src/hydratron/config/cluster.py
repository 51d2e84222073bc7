"""What only `hydratron plan` reads: the machine that is planned for, and how the job is counted."""

from __future__ import annotations

from dataclasses import dataclass

from hydratron.config.option import option


@dataclass
class ClusterConfig:
    """`cluster=`: constants of the hardware, and the shares of them that a job reaches.

    The five efficiencies are fits to published times, not measurements.
    """

    name: str = option("hgx_h100", "label in tables")
    gpu: str = option("H100 80 GB", "the accelerator")
    gpus_per_node: int = option(8, "GPUs of one host", minimum=1)
    memory_gib: float = option(79.6, "memory of one GPU that a program sees, GiB", above=0)
    peak_tflops: float = option(989.0, "half precision, dense, of one GPU, TFLOP/s", above=0)
    memory_gbps: float = option(3350.0, "memory bandwidth of one GPU, GB/s", above=0)
    link_gbps: float = option(450.0, "one GPU to the others of its host, each way, GB/s", above=0)
    node_gbps: float = option(400.0, "one host to the others, each way, GB/s", above=0)
    compute_efficiency: float = option(1.0, "share of the peak in matrix products", above=0)
    memory_efficiency: float = option(1.0, "share of the memory bandwidth elsewhere", above=0)
    link_efficiency: float = option(1.0, "share of the link in an all-reduce", above=0)
    node_efficiency: float = option(1.0, "share of the network in an all-reduce", above=0)
    kernel_microseconds: float = option(0.0, "fixed cost of one kernel or collective", minimum=0)
    fitted_to: str = option("nothing: full speed", "times that the last five were fitted to")


@dataclass
class PlanConfig:
    """`plan.`: how a job is planned."""

    full: bool = option(False, "run every layer instead of two and four, the rest extrapolated")
    numerics: str = option(
        "ours",
        "ours: fp32 masters under autocast; paper_fp16: fp16 weights with fp32 copies",
        choices=("ours", "paper_fp16"),
    )
    attention: str | None = option(
        None, "null: model.attention; manual: scores are held", choices=("sdpa", "manual")
    )
    vocab_size: int | None = option(
        None, "entries before padding; null: GPT-2's 50257, or BERT's 30522", minimum=1
    )
    suggest: bool = option(
        True, "where it does not fit: look for the smallest change that does, by further plans"
    )
    reserve_gib: float = option(
        2.0, "memory that is not the job's: driver, NCCL, fragments, GiB", minimum=0
    )
