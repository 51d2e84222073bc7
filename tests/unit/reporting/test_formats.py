from __future__ import annotations

import math

import pytest

from hydratron.reporting import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0, "0.00"),
        (12.345, "12.3"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (1_781_234, "1.78M"),
        (999_600, "1.00M"),
        (355_921_920, "356M"),
        (8.3e9, "8.30B"),
    ],
)
def test_count(value: float | None, text: str) -> None:
    assert formats.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1e-3, "1e-3"), (2.5e-4, "2.5e-4"), (1.0, "1e0"), (3e-10, "3e-10")]
)
def test_rate(value: float, text: str) -> None:
    assert formats.rate(value) == text


def test_loss_gap_and_decimal() -> None:
    assert (formats.loss(4.41234), formats.loss(None), formats.loss(math.inf)) == (
        "4.4123",
        "–",
        "inf",
    )
    assert (formats.gap(6.24e-7), formats.gap(0.0)) == ("6.2e-7", "0")
    assert (formats.decimal(110.06), formats.decimal(2.5e8)) == ("110.1", "2.5e+08")


def test_setting_reads_as_it_is_typed() -> None:
    assert formats.setting(None) == "null"
    assert formats.setting(False) == "false"
    assert formats.setting([1, "a", 0.10]) == "[1, a, 0.1]"


def test_of_long_paths_the_ends_are_told_as_far_as_they_differ() -> None:
    a, b = "outputs/somewhere/first/sweep/a", "outputs/somewhere/other/sweep/a"
    assert formats.settings([a, None]) == ["a", "null"]
    assert formats.settings([a, b]) == ["first/sweep/a", "other/sweep/a"]
    assert formats.settings([a, f"/{a}"]) == [a, f"/{a}"]
    assert formats.settings(["SST-2/", "eval/SST-2"]) == ["SST-2/", "eval/SST-2"]
