from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.reporting.power_law import power_law

SIZES = [4e5, 1.8e6, 4.7e6]
FIVE = [4e5, 1.8e6, 4.7e6, 1.4e7, 3.1e7]


@given(st.floats(1, 50), st.floats(0.01, 0.5))
def test_an_exact_law_is_found(scale: float, exponent: float) -> None:
    losses = [scale * x**-exponent for x in SIZES]
    law = power_law(SIZES, {1: losses, 2: losses})
    assert law.exponent == pytest.approx(exponent, rel=1e-6)
    assert law.scale == pytest.approx(scale, rel=1e-5)
    assert law.floor == 0
    assert law.residual < 1e-9 * scale + 1e-9
    assert law(1e6) == pytest.approx(scale * 1e6**-exponent)


def test_two_sizes_by_hand() -> None:
    # 4 -> 3 over a factor of 16: b = ln(4/3) / ln(16).
    law = power_law([1.0, 16.0], {1: [4.0, 3.0]})
    assert law.exponent == pytest.approx(math.log(4 / 3) / math.log(16))
    assert law.scale == pytest.approx(4.0)
    assert law.spread.interval is None


def test_the_interval_is_over_the_exponents_of_the_seeds() -> None:
    exponents = {1: 0.09, 2: 0.10, 3: 0.11}
    losses = {seed: [5 * x**-b for x in SIZES] for seed, b in exponents.items()}
    spread = power_law(SIZES, losses).spread
    assert spread.value == pytest.approx(0.10)
    assert spread.interval == pytest.approx((0.10 - 0.02484138, 0.10 + 0.02484138), abs=1e-6)
    assert spread.n == 3
    assert "one fit per seed" in spread.method


def test_a_floor_is_kept_only_when_the_sizes_tell_it() -> None:
    clean = [30 * x**-0.3 + 2.0 for x in FIVE]
    law = power_law(FIVE, {1: clean, 2: clean, 3: clean})
    assert law.floor == pytest.approx(2.0, rel=1e-3)
    assert law.exponent == pytest.approx(0.3, rel=1e-3)
    assert power_law(FIVE[:3], {1: clean[:3]}).floor == 0
    noisy = [2.62, 2.45, 2.30, 2.21, 2.13]  # 5 N^-0.05, off by up to 0.03
    assert power_law(FIVE, {1: noisy}).floor == 0


@pytest.mark.parametrize(("x", "losses"), [([1.0], {1: [2.0]}), ([1.0, 2.0], {})])
def test_too_little_to_fit(x: list[float], losses: dict[int, list[float]]) -> None:
    with pytest.raises(ValueError, match="two sizes and a seed"):
        power_law(x, losses)
