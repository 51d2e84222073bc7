from __future__ import annotations

import math
from pathlib import Path

from hydratron.reporting.records import Run
from hydratron.reporting.sparkline import sparklines


def run(losses: list[float]) -> Run:
    rows = [{"step": i, "tokens": i, "val/loss": v} for i, v in enumerate(losses)]
    return Run(Path("job"), {}, rows=rows)


def test_lines_share_scale_and_length() -> None:
    falling = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]
    first, half, none = sparklines([run(falling), run([9.0, 9.0, 9.0, 9.0]), run([])], 14)
    assert (len(first), len(half), none) == (14, 6, "")
    assert (first[0], first[-1]) == ("█", "▁")
    assert list(first) == sorted(first, reverse=True)
    assert set(half) == {"█"}


def test_the_scale_goes_from_the_least_loss_to_what_nine_of_ten_are_below() -> None:
    # 0.9 of eleven values is the tenth: a loss of 1000 is drawn like one of 9.
    (line,) = sparklines([run([1000.0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0])], 11)
    assert line == "██▇▆▆▅▄▃▃▂▁"
    # The least and the largest loss of any run, not of each.
    first, second = sparklines([run([8.0, 8, 8, 8, 8, 8]), run([4.0, 4, 4, 4, 1, 1])], 6)
    assert (first, second) == ("██████", "▄▄▄▄▁▁")


def test_flat_broken_and_single_values_are_lines_too() -> None:
    assert sparklines([run([3.0, 3.0])], 4) == ["▁▁▁▁"]
    assert sparklines([run([5.0])], 4) == ["▁▁▁▁"[:1]]
    assert sparklines([run([math.nan, math.inf])], 4) == [""]
    assert sparklines([], 4) == []
