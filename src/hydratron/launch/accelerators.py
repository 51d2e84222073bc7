"""What the ranks of a host compute on: a GPU each, or the CPU."""

from __future__ import annotations

from collections.abc import Iterable

from hydratron.config.schema import Config
from hydratron.errors import ConfigError, Problem

KEY = "trainer.accelerator"


def accelerator(asked: str, ranks: int) -> str:
    """`gpu` or `cpu` for the `ranks` of this host; `auto` is the GPU where each has one.

    Raises ConfigError where GPUs are asked for and there are too few.
    """
    if asked == "cpu":
        return "cpu"
    import torch  # Counts without touching a device; the launcher gets here for `gpu` alone.

    gpus = torch.cuda.device_count()
    if gpus >= ranks:
        return "gpu"
    if asked == "auto":
        return "cpu"
    expected = f"each rank needs a GPU; ranks on this host: {ranks}, GPUs that torch sees: {gpus}"
    raise ConfigError([Problem(KEY, asked, expected)])


def check(configs: Iterable[Config]) -> None:
    """Raise ConfigError where one of the jobs cannot have the GPUs that it asks for, here."""
    asked = {
        config.parallel.world_size // config.launch.nodes
        for config in configs
        if config.trainer.accelerator == "gpu"
    }
    if asked:
        accelerator("gpu", max(asked))
