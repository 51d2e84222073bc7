"""Rings and rooflines by hand."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from hydratron.config.cluster import ClusterConfig
from hydratron.config.parallel import ParallelConfig
from hydratron.planner.extrapolate import Step, Work
from hydratron.planner.recorder import BACKWARD, FORWARD, UPDATE, Collective
from hydratron.planner.time_model import StepTime, Terms, ring_seconds, step_time, terms

HOST = ClusterConfig(
    gpus_per_node=8, peak_tflops=100.0, memory_gbps=1000.0, link_gbps=200.0, node_gbps=100.0,
    compute_efficiency=0.5, memory_efficiency=0.8, link_efficiency=0.25, node_efficiency=0.1,
    kernel_microseconds=5.0,
)  # fmt: skip
GB = 10**9


def call(group: str, size: int, nbytes: int = GB, phase: str = FORWARD) -> Collective:
    return Collective(phase, "", "allreduce", group, size, nbytes)


@pytest.mark.parametrize(
    ("group", "tp", "dp", "gbps"),
    [
        ("tensor", 4, 1, 200),  # inside one host
        ("tensor", 8, 64, 200),  # the replicas leave the host, their ranks do not
        ("data", 2, 4, 200),  # the whole job in one host
        ("tensor", 16, 1, 100),  # one ring over two hosts has their whole network
        ("data", 1, 16, 100),
        ("data", 2, 8, 100 / 2),  # a ring for each of the replica's two ranks
        ("data", 8, 64, 100 / 8),
        ("data", 16, 4, 100 / 8),  # eight of the sixteen ranks share a host
    ],
)
def test_a_ring_by_hand(group: str, tp: int, dp: int, gbps: float) -> None:
    size = tp if group == "tensor" else dp
    found = ring_seconds(call(group, size), ParallelConfig(tp, dp), HOST)
    assert found == pytest.approx(2 * (size - 1) / size / gbps)


def test_the_halves_of_an_all_reduce_take_its_time() -> None:
    whole = call("tensor", 4)
    parts = (
        replace(whole, operation="reduce_scatter"),
        replace(whole, operation="allgather", bytes=whole.bytes // 4),
    )
    both = sum(ring_seconds(part, ParallelConfig(4, 1), HOST) for part in parts)
    assert both == pytest.approx(ring_seconds(whole, ParallelConfig(4, 1), HOST))


def test_a_network_faster_than_the_link_does_not_help() -> None:
    fast = ClusterConfig(gpus_per_node=2, link_gbps=200.0, node_gbps=1000.0)
    found = ring_seconds(call("tensor", 4), ParallelConfig(4, 1), fast)
    assert found == pytest.approx(2 * 3 / 4 / 200)


def example() -> Step:
    work = (
        Work(FORWARD, "a", "mm", calls=2, flops=2e14, bytes=1e9),  # 2 s against 1 ms
        Work(BACKWARD, "a", "add", calls=3, flops=0, bytes=5e11),  # 0.5 s
        Work(UPDATE, "", "adamw", calls=1, flops=0, bytes=1e12),  # 1 s, once a step
    )
    calls = (call("tensor", 4), call("data", 2, phase=UPDATE), call("world", 0))
    return Step(calls, work, {}, 0, 0)


def test_each_term_by_hand() -> None:
    found = terms(example(), 3, ParallelConfig(4, 2), HOST)
    assert asdict(found) == pytest.approx(
        {
            "compute": 3 * 2.0,
            "memory": 3 * 0.5 + 1.0,
            "tensor": 3 * 2 * 3 / 4 / 200,
            "data": 2 * 1 / 2 / 200,
            "kernels": 3 * (2 + 3 + 1) + 1 + 1,
        }
    )


@pytest.mark.parametrize(
    ("tp", "dp", "tensor", "data"),
    [(4, 2, 0.25, 0.25), (8, 2, 0.25, 0.1), (16, 2, 0.1, 0.1)],
)
def test_efficiencies_divide_and_terms_add_up(tp: int, dp: int, tensor: float, data: float) -> None:
    found = step_time(Terms(1.0, 2.0, 3.0, 4.0, 1000), ParallelConfig(tp, dp), HOST)
    assert asdict(found) == pytest.approx(
        {
            "compute": 2.0,
            "memory": 2.5,
            "tensor": 3 / tensor,
            "data": 4 / data,
            "kernels": 0.005,
            "sends": 0.0,
            "idle": 0.0,
        }
    )
    assert found.total == pytest.approx(2.0 + 2.5 + 3 / tensor + 4 / data + 0.005)


def test_the_share_of_the_tensor_group() -> None:
    assert StepTime(2.0, 1.0, 3.0, 1.0, 1.0).tensor_share == pytest.approx(3 / 8)
