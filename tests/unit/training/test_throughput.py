"""What the machine could do, and what the job took."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hydratron.training import throughput
from hydratron.training.throughput import memory_bytes, peak_flops


def test_the_machine_has_a_peak_and_a_memory() -> None:
    assert peak_flops(torch.device("cpu"), torch.float32) > 1e8
    assert memory_bytes(torch.device("cpu")) > 10 * 2**20


def test_measuring_the_peak_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    peak_flops(torch.device("cpu"), torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "bf16", "tf32", "fp32"),
    [
        ("NVIDIA H100 80GB HBM3", 989, 494, 67),
        ("NVIDIA H100 PCIe", 756, 378, 51),
        ("NVIDIA H100 NVL", 835, 417, 60),
        ("NVIDIA H200", 989, 494, 67),
        ("NVIDIA H200 NVL", 835, 417, 60),
        ("NVIDIA A100-SXM4-80GB", 312, 156, 19.5),
        ("NVIDIA A100 80GB PCIe", 312, 156, 19.5),
        ("NVIDIA A10", 125, 62.5, 31.2),
        ("NVIDIA L40S", 362, 183, 91.6),
        ("NVIDIA L4", 121, 60, 30.3),
        ("NVIDIA GeForce RTX 4090", 165.2, 82.6, 82.6),
        ("Tesla V100-SXM3-32GB", None, 15.7, 15.7),
        ("Tesla V100-PCIE-16GB", None, 14, 14),
        ("Tesla T4", None, 8.1, 8.1),
        ("NVIDIA A10G", None, None, None),
        ("NVIDIA GH200 480GB", None, None, None),
    ],
)
def test_a_known_card_has_the_peak_of_its_form_and_type(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    bf16: float | None,
    tf32: float | None,
    fp32: float | None,
) -> None:
    """None: measured, as for a card that is not known, or a type that it lacks."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    monkeypatch.setattr(throughput, "_measured_peak", lambda device, dtype: None)
    gpu = torch.device("cuda", 0)

    def tflops(dtype: torch.dtype, precision: str) -> Any:
        peak = peak_flops(gpu, dtype, precision)
        return peak and round(peak / 1e12, 6)

    assert tflops(torch.bfloat16, "highest") == bf16
    assert tflops(torch.float32, "highest") == fp32
    assert [tflops(torch.float32, precision) for precision in ("high", "medium")] == [tf32, tf32]
