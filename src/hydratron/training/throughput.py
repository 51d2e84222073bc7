"""What the machine could do, and how much memory a job took."""

from __future__ import annotations

import resource
import sys
import time

import torch

# Dense bf16 FLOP/s of one GPU, from its maker's data sheet.
PUBLISHED_PEAK = {"V100": 125e12, "A100": 312e12, "H100": 989e12, "H200": 989e12}


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s that count as 100 %: the maker's figure of a known GPU, else a measured GEMM."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for model, peak in PUBLISHED_PEAK.items():
            if model in name:
                return peak
    return _measured_peak(device, dtype)


def memory_bytes(device: torch.device) -> int:
    """The largest memory so far: allocated on the GPU, or resident of this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _measured_peak(device: torch.device, dtype: torch.dtype, size: int = 512) -> float:
    """The best of five square matrix products: what this library reaches on this machine."""
    a = torch.full((size, size), 0.5, device=device, dtype=dtype)  # draws no random numbers
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        product = a @ a
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
        del product
    return 2 * size**3 / best
