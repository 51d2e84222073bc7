"""megatron-core, where the extra `[interop]` is installed."""

from __future__ import annotations

import warnings
from typing import Any

import pytest


def megatron(module: str) -> Any:
    """A module of `megatron.core.datasets`; skips the test where megatron-core is missing."""
    with warnings.catch_warnings():
        # It warns of every faster package that it does not find.
        warnings.simplefilter("ignore")
        name = f"megatron.core.datasets.{module}"
        return pytest.importorskip(name, reason="needs megatron-core", exc_type=ImportError)
