"""Which job a configuration is, wherever its folder lies and however its processes start."""

from __future__ import annotations

from typing import Any

from hydratron.config.keys import carries
from hydratron.config.load import to_dict
from hydratron.config.schema import Config
from hydratron.job import flatten


def identity(config: Config) -> dict[str, Any]:
    """The options that make it this job and no other, by their dotted names."""
    found = flatten(to_dict(config))
    return {key: value for key, value in found.items() if tells(key)}


def tells(key: str) -> bool:
    """Whether another value of the option makes another job: bookkeeping that is not `distinct`
    does not."""
    return not carries(key, "bookkeeping") or carries(key, "distinct")
