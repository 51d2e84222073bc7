"""Published speeds become seconds, and predicted seconds become speeds again."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from hydratron.config.cluster import ClusterConfig
from hydratron.planner.calibration import predicted
from hydratron.planner.published import find_plan, fitted, published, sample

TP, DP = "parallel.tensor_model_parallel_size", "parallel.data_parallel_size"
ENTRIES = [
    {"study": "weak", "model": "a", "heads": 4, "tp": 1, "dp": 1, "efficiency": 1.0},
    {"study": "weak", "model": "b", "heads": 4, "tp": 2, "dp": 1, "efficiency": 0.8},
    {"study": "strong", "model": "a", "heads": 4, "tp": 2, "dp": 1, "speedup": 1.6},
    {"study": "both", "model": "b", "heads": 4, "tp": 2, "dp": 64, "efficiency": 0.5},
]


def plan(model: str, tp: int, dp: int, flops: float, **other: Any) -> dict[str, Any]:
    terms = {"compute": 0.1, "memory": 0.2, "tensor": 0.3, "data": 0.4, "kernels": 50.0}
    row = {"model": model, TP: tp, DP: dp, "model.num_attention_heads": 4, "plan.numerics": "half"}
    return row | {f"plan/{term}": v for term, v in terms.items()} | {"plan/flops": flops} | other


PLANS = [
    plan("a", 1, 1, 20e12),
    plan("b", 2, 1, 16e12),
    plan("a", 2, 1, 10e12),
    plan("b", 2, 64, 16e12),
]


def find(model: str, tp: int, dp: int = 1, **other: Any) -> Any:
    return find_plan(PLANS, "half", model, tp, dp, **other)


def test_speeds_become_seconds() -> None:
    rows, lacking = published(ENTRIES, 10.0, find)
    assert not lacking
    # 20 TFLOP at 10 TFLOP/s; 16 at 80 % of them; 2 s over 1.6; 16 at half of them.
    assert [row.sample.seconds for row in rows] == pytest.approx([2.0, 2.0, 1.25, 3.2])
    assert [row.gpus for row in rows] == [1, 2, 2, 128]
    assert [row.quantity for row in rows] == ["efficiency", "efficiency", "speedup", "efficiency"]
    assert rows[3].job == "b tp2_dp64, 4 heads, no overlap"
    overlapped, _ = published([*ENTRIES[:3], ENTRIES[3] | {"overlap": True}], 10.0, find)
    assert overlapped[3].sample.overlapped
    assert overlapped[3].job == "b tp2_dp64, 4 heads"


def test_a_longer_step_is_a_lower_number() -> None:
    row = published(ENTRIES, 10.0, find)[0][1]
    found = replace(row, fitted=2.5, other=1.0)
    assert found.errors == pytest.approx((-0.2, 1.0))
    assert found.predictions == pytest.approx((0.64, 1.6))


def test_both_fits_of_every_row() -> None:
    rows = published(ENTRIES * 2, 10.0, find)[0]
    cluster, both = fitted(rows, ClusterConfig(gpus_per_node=16))
    assert [row.fitted for row in both] == [predicted(row.sample, cluster) for row in rows]
    assert all(math.isfinite(row.other) and row.other != row.fitted for row in both[:3])


def test_what_was_not_planned_is_named() -> None:
    entries = [ENTRIES[0], ENTRIES[1] | {"heads": 8}, ENTRIES[2]]
    rows, lacking = published(entries, 10.0, find)
    assert (len(rows), lacking) == (2, ["b tp2 dp1, 8 heads"])


def test_without_the_baseline_nothing_has_a_time() -> None:
    rows, lacking = published([ENTRIES[0] | {"model": "c"}, *ENTRIES[1:]], 10.0, find)
    assert (rows, len(lacking)) == ([], 4)


def test_plans_are_told_apart_by_numerics_and_heads() -> None:
    ours = plan("a", 1, 1, 1.0, **{"plan.numerics": "ours"})
    wide = plan("a", 1, 1, 2.0, **{"model.num_attention_heads": 8})
    plans = [ours, wide, *PLANS]
    assert find_plan(plans, "half", "a", 1, heads=4) is PLANS[0]
    assert find_plan(plans, "half", "a", 1, heads=8) is wide
    assert find_plan(plans, "half", "a", 1, numerics="ours") is ours
    assert find_plan(plans, "half", "a", 4) is None
    assert sample(PLANS[3]).parallel.world_size == 128
    assert sample(PLANS[3]).terms.data == 0.4
