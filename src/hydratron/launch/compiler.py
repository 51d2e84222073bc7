"""Whether this host can compile what `trainer.compile=true` asks for, told before ranks start."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from hydratron.config.schema import Config
from hydratron.errors import ConfigError, Problem
from hydratron.launch.accelerators import accelerator

# What torch's compiler looks for after $CXX.
COMPILERS = ("g++", "clang++", "c++")


def check(configs: Iterable[Config]) -> None:
    """Raise ConfigError for jobs on CPUs that are to be compiled where no C++ compiler is."""
    wanted = [config for config in configs if config.trainer.compile and _on_cpu(config)]
    named = os.environ.get("CXX")
    looked_for = (named,) if named else COMPILERS
    if wanted and not any(map(shutil.which, looked_for)):
        expected = f"needs a C++ compiler on CPUs, and there is no {' or '.join(looked_for)} here"
        raise ConfigError([Problem("trainer.compile", "true", expected)])


def _on_cpu(config: Config) -> bool:
    ranks = config.parallel.world_size // config.launch.nodes
    return accelerator(config.trainer.accelerator, ranks) == "cpu"
