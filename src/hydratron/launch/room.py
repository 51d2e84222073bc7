"""Whether a job of these sizes has room on this host at all, told before any memory is taken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from hydratron.config.cost import vocabulary
from hydratron.config.schema import Config
from hydratron.errors import ConfigError, Problem
from hydratron.launch.accelerators import accelerator

# fp32: a weight, its gradient and the two moments of Adam.
PARAMETER_BYTES = 16
# The least that the order of the samples takes of each: where it begins, and its place.
SAMPLE_BYTES = 12


def check(configs: Iterable[Config], memory: int | None = None) -> None:
    """Raise ConfigError for jobs that need more than the `memory` of this host, in bytes.

    A lower bound, without activations: what it refuses could not run.  Parameters that lie on GPUs
    are for those to refuse.
    """
    memory = memory or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = [problem for config in configs for problem in _problems(config, memory)]
    if found:
        raise ConfigError(list(dict.fromkeys(found)))


def _problems(config: Config, memory: int) -> Iterator[Problem]:
    ranks = config.parallel.world_size // config.launch.nodes
    parameters = least_parameters(config)
    parallel = config.parallel
    replica = parallel.tensor_model_parallel_size * parallel.pipeline_model_parallel_size
    needed = PARAMETER_BYTES * parameters * ranks // replica
    if needed > memory and accelerator(config.trainer.accelerator, ranks) == "cpu":
        key = max(("num_layers", "hidden_size", "seq_length", "vocab_multiple"), key=_size(config))
        expected = (
            f"{parameters:,} parameters, which take {_gb(needed)} with gradients and moments; "
            f"this host has {_gb(memory)}"
        )
        yield Problem(f"model.{key}", getattr(config.model, key), expected)
    if SAMPLE_BYTES * config.samples > memory:
        steps, batch = config.trainer.max_steps, config.trainer.global_batch_size
        key = "max_steps" if steps >= batch else "global_batch_size"
        expected = (
            f"{config.samples:,} samples, whose order takes {_gb(SAMPLE_BYTES * config.samples)}; "
            f"this host has {_gb(memory)}"
        )
        yield Problem(f"trainer.{key}", max(steps, batch), expected)


def least_parameters(config: Config) -> int:
    """Of the matrices alone: layers, words and positions."""
    model = config.model
    h, f = model.hidden_size, model.ffn_hidden_size or 4 * model.hidden_size
    words = model.padded(vocabulary(config))
    return model.num_layers * (4 * h * h + 2 * h * f) + (words + model.seq_length) * h


def _size(config: Config) -> Callable[[str], float]:
    """How far an option is beyond the largest of any published model: which one to name."""
    known = {"num_layers": 128, "hidden_size": 20480, "seq_length": 2**17, "vocab_multiple": 2**17}
    return lambda key: getattr(config.model, key) / known[key]


def _gb(size: int) -> str:
    return f"{size / 1e9:,.0f} GB"
