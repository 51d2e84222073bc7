"""What the machine could do, and how much memory a job took."""

from __future__ import annotations

import re
import resource
import sys
import time

import torch

FP16, BF16, FP32 = torch.float16, torch.bfloat16, torch.float32
TF32 = "tf32"  # fp32 matrices multiplied by the tensor cores


def _ampere(half: float, tf32: float, fp32: float) -> dict[torch.dtype | str, float]:
    """From the first GPUs with bf16 and TF32 on, in TFLOP/s."""
    return {FP16: half, BF16: half, TF32: tf32, FP32: fp32}


# Dense TFLOP/s of one GPU from its maker's data sheet, by what its name contains; the first match.
PUBLISHED_PEAK: dict[str, dict[torch.dtype | str, float]] = {
    r"H100 PCIe": _ampere(756, 378, 51),
    r"H(100|200) NVL": _ampere(835, 417, 60),
    r"H(100 80GB HBM3|200)$": _ampere(989, 494, 67),
    r"A100\b": _ampere(312, 156, 19.5),
    r"A10$": _ampere(125, 62.5, 31.2),
    r"L40S$": _ampere(362, 183, 91.6),
    r"L4$": _ampere(121, 60, 30.3),
    r"RTX 4090$": _ampere(165.2, 82.6, 82.6),
    r"V100S-PCIE": {FP16: 130, FP32: 16.4},
    r"V100-PCIE": {FP16: 112, FP32: 14},
    r"V100-SXM": {FP16: 125, FP32: 15.7},
    r"\bT4$": {FP16: 65, FP32: 8.1},
}


def peak_flops(
    device: torch.device, dtype: torch.dtype, matmul_precision: str = "highest"
) -> float:
    """FLOP/s that count as 100 %: the maker's figure of a known GPU, else a measured GEMM.

    `matmul_precision` is `trainer.matmul_precision`: fp32 below "highest" is TF32 on a GPU that
    has it.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    tflops = _published(name, dtype, matmul_precision)
    return _measured_peak(device, dtype) if tflops is None else tflops * 1e12


def _published(name: str, dtype: torch.dtype, matmul_precision: str) -> float | None:
    """TFLOP/s of the GPU of this name; None for an unknown one, or for a type that it lacks."""
    row = next((row for pattern, row in PUBLISHED_PEAK.items() if re.search(pattern, name)), {})
    if dtype == FP32 and matmul_precision != "highest" and TF32 in row:
        return row[TF32]
    return row.get(dtype)


def memory_bytes(device: torch.device) -> int:
    """The largest memory so far: allocated on the GPU, or resident of this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """The best of five square matrix products: what this library reaches on this machine."""
    size = 4096 if device.type == "cuda" else 512  # a GPU is not busy with less
    slow = device.type == "cpu" and dtype == FP16
    if slow:
        size = 128
    a = torch.full((size, size), 0.5, device=device, dtype=dtype)  # draws no random numbers
    # CPUs multiply fp16 a hundred times more slowly, and only as in a linear layer at their best.
    b = a.t() if slow else a
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        product = a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
        del product
    return 2 * size**3 / best
