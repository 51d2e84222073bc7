"""`python -m tests.benchmarks.attention_speed`: what `model.attention=auto` chooses by.

Forward and backward of causal attention, fused (sdpa) and with materialised scores (manual), in
turns, for about 4,096 tokens of each shape.  Prints the median of the ratios of two turns, above 1
where manual is faster.  The times are the process's own on one thread, so that a busy machine
disturbs them little; a rule still wants a quiet one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from hydratron.models.attention import materialised_attention

LENGTHS, HEAD_DIMS, WIDTH, TOKENS = (64, 128, 256, 512, 1024), (32, 64), 256, 4096
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def seconds(attend: Callable[..., Tensor], parts: list[Tensor], upstream: Tensor) -> float:
    began = time.process_time()
    attend(*parts, is_causal=True).backward(upstream)
    return time.process_time() - began


def ratio(length: int, head_dim: int, dtype: torch.dtype, turns: int) -> float:
    shape = (max(1, TOKENS // length), WIDTH // head_dim, length, head_dim)
    parts = [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3)]
    upstream = torch.randn(shape, dtype=dtype)
    found = []
    for turn in range(turns + 1):
        fused = seconds(F.scaled_dot_product_attention, parts, upstream)
        manual = seconds(materialised_attention, parts, upstream)
        if turn:
            found.append(fused / manual)
    return median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    print(f"{'type':5} {'d':>3}", *(f"{length:>6}" for length in LENGTHS))
    for name, dtype in TYPES.items():
        for head_dim in HEAD_DIMS:
            row = [ratio(length, head_dim, dtype, given.turns) for length in LENGTHS]
            print(f"{name:5} {head_dim:3}", *(f"{each:6.2f}" for each in row), flush=True)


if __name__ == "__main__":
    main()
