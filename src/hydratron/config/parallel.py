"""Options of `parallel=`: how many ranks share what, and what they send each other through."""

from __future__ import annotations

from dataclasses import dataclass

from hydratron.config import degrees
from hydratron.config.option import option


@dataclass
class ParallelConfig:
    """`parallel=`: the product of the sizes is the number of processes."""

    tensor_model_parallel_size: int = option(1, "ranks that share one layer", minimum=1, axis="tp")
    data_parallel_size: int = option(1, "replicas", minimum=1, axis="dp")
    pipeline_model_parallel_size: int = option(
        1, "stages that share one replica's layers: each has num_layers / pp of them", minimum=1,
        axis="pp",
    )  # fmt: skip
    pipeline_schedule: str = option(
        "gpipe",
        "of pp stages: gpipe, all micro-batches forward, then back; 1f1b, back as soon as possible",
        choices=("gpipe", "1f1b"),
        per_degree=True,
    )
    sequence_parallel: bool = option(
        False,
        "LayerNorm, dropout and residuals on seq_length / tp tokens a rank: less memory, same sums",
        per_degree=True,
    )
    distributed_optimizer: bool = option(
        False,
        "ZeRO-1: each replica keeps the optimizer's state of 1 / dp of the rows, bitwise the same",
        per_degree=True,
    )
    backend: str = option(
        "explicit",
        "explicit, the paper's operators f and g; dtensor, SPMD: one process's network on DTensors",
        choices=("explicit", "dtensor"),
        per_degree=True,
    )
    transport: str = option(
        "auto",
        "CPU ranks of one host: auto, through memory that they share; gloo, through the loopback",
        choices=("auto", "gloo"),
        bookkeeping=True,
    )

    @property
    def world_size(self) -> int:
        return (
            self.tensor_model_parallel_size
            * self.data_parallel_size
            * self.pipeline_model_parallel_size
        )

    @property
    def spmd(self) -> bool:
        """Whether there is anything for `backend=dtensor` to split."""
        return self.backend == "dtensor" and self.tensor_model_parallel_size > 1

    @property
    def axes(self) -> dict[str, int]:
        """The sizes by the name of the axis, outer to inner."""
        inner = {"data": self.data_parallel_size, "tensor": self.tensor_model_parallel_size}
        stages = self.pipeline_model_parallel_size
        return {"pipeline": stages, **inner} if stages > 1 else inner

    @property
    def label(self) -> str:
        """`tp2_dp4`; a size of one is left out, and `single` is one process."""
        return degrees.label(
            self.tensor_model_parallel_size,
            self.data_parallel_size,
            self.pipeline_model_parallel_size,
        )
