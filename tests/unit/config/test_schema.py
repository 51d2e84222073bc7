"""What follows from options rather than being one."""

from __future__ import annotations

import pytest

from hydratron.config.load import from_dict


@pytest.mark.parametrize(
    ("total", "micro", "dp", "size", "accumulation"),
    [(8, None, 1, 8, 1), (8, None, 4, 2, 1), (8, 2, 1, 2, 4), (8, 2, 2, 2, 2)],
)
def test_micro_batches_fill_the_global_batch(
    total: int, micro: int | None, dp: int, size: int, accumulation: int
) -> None:
    trainer = {"global_batch_size": total, "micro_batch_size": micro}
    config = from_dict({"trainer": trainer, "parallel": {"data_parallel_size": dp}})
    assert (config.micro_batch_size, config.accumulation) == (size, accumulation)


@pytest.mark.parametrize(
    ("tp", "dp", "label"), [(1, 1, "single"), (2, 1, "tp2"), (1, 4, "dp4"), (8, 64, "tp8_dp64")]
)
def test_the_label_of_the_degrees(tp: int, dp: int, label: str) -> None:
    parallel = {"tensor_model_parallel_size": tp, "data_parallel_size": dp}
    assert from_dict({"parallel": parallel}).parallel.label == label
