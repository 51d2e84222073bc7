"""The type of the computation: parameters are fp32, and a forward pass runs under autocast."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: str, device_type: str) -> Callable[[], AbstractContextManager[Any]]:
    """Makes the context of a forward pass."""
    if precision == "fp32":
        return nullcontext
    return partial(torch.autocast, device_type, TYPES[precision])
