"""What `parallel.backend=dtensor` does not go with."""

from __future__ import annotations

from collections.abc import Iterator

from hydratron.config.schema import Config
from hydratron.errors import Problem

KEYS = (
    "parallel.backend",
    "parallel.tensor_model_parallel_size",
    "parallel.pipeline_model_parallel_size",
    "model.attention",
    "model.recompute",
    "trainer.compile",
)


def spmd_problems(config: Config) -> Iterator[Problem]:
    """One problem for each option that has no meaning on DTensors, or no rule of torch's."""
    pp = config.parallel.pipeline_model_parallel_size
    if config.parallel.backend == "dtensor" and pp > 1:
        expected = "parallel.backend=dtensor has no pipelines; 1, or parallel.backend=explicit"
        yield Problem("parallel.pipeline_model_parallel_size", pp, expected)
    if not config.parallel.spmd:
        return
    if config.trainer.compile:
        expected = "parallel.backend=dtensor is not compiled; false"
        yield Problem("trainer.compile", "true", expected)
    if config.model.attention != "manual":
        expected = (
            "torch cannot split the fused kernel of CPUs for parallel.backend=dtensor; manual"
        )
        yield Problem("model.attention", config.model.attention, expected)
    if config.model.recompute != "none":
        expected = "parallel.backend=dtensor computes nothing twice; none"
        yield Problem("model.recompute", config.model.recompute, expected)
