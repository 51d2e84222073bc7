"""How the ranks of whole trainings talk: as by default, or as `--transport` says."""

from __future__ import annotations

from hydratron.config.parallel import ParallelConfig

_chosen = [ParallelConfig().transport]


def choose(transport: str) -> None:
    _chosen[:] = [transport]


def chosen() -> str:
    return _chosen[0]
