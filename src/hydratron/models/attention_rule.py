"""`model.attention=auto`: which attention is the faster one, by a measured table.

    python -m tests.benchmarks.attention_speed

Time of the fused one over that of the one with materialised scores, forward and backward, causal,
fp32 in the left and bf16 in the right number; two shared cores of an Intel Xeon (AVX-512, AMX), one
thread, torch 2.13.0, the allocator as ranks have it, on a busy machine:

    tokens            64          128          256          512         1024
    head size 32   8.08 4.65   4.92 2.36   2.14 1.21   1.30 0.96   0.57 0.57
    head size 64   6.54 2.39   4.02 2.09   1.88 1.27   1.33 1.12   0.64 0.65

At 512 the scores of all layers are memory that the fused one does not take, for a third of what is
a small part of a step; with dropout torch's fused one on CPUs holds them as well.
"""

from __future__ import annotations

# Up to so many tokens the materialised scores are faster; not named: never.
LONGEST_MANUAL = {"cpu": 256}


def fused_is_faster(seq_length: int, device_type: str) -> bool:
    """Whether a network for sequences of so many tokens takes the fused attention there."""
    return seq_length > LONGEST_MANUAL.get(device_type, 0)
