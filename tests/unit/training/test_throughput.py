"""What the machine could do, and what the job took."""

from __future__ import annotations

import torch

from hydratron.training.throughput import memory_bytes, peak_flops


def test_the_machine_has_a_peak_and_a_memory() -> None:
    assert peak_flops(torch.device("cpu"), torch.float32) > 1e8
    assert memory_bytes(torch.device("cpu")) > 10 * 2**20


def test_measuring_the_peak_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    peak_flops(torch.device("cpu"), torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
