"""The generators of C++: the outputs that its standard states, and any way of taking them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.data.samples.mt19937 import MT19937, MT19937_64

DEFAULT_SEED = 5489


def test_the_output_that_the_standard_states() -> None:
    """ISO C++, [rand.predef]: the 10,000th output of each with the default seed."""
    assert MT19937(DEFAULT_SEED).take(10_000)[-1] == 4123659995
    assert MT19937_64(DEFAULT_SEED).take(10_000)[-1] == 9981545732273789042


def test_the_first_outputs() -> None:
    first = [14514284786278117030, 4620546740167642908, 13109570281517897720]
    assert MT19937_64(DEFAULT_SEED).take(3).tolist() == first


@pytest.mark.parametrize("kind", [MT19937, MT19937_64])
@given(st.lists(st.integers(0, 700), max_size=8))
def test_outputs_can_be_taken_in_parts(
    kind: type[MT19937] | type[MT19937_64], counts: list[int]
) -> None:
    generator = kind(7)
    parts = [generator.take(count) for count in counts]
    assert [len(part) for part in parts] == counts
    expected = kind(7).take(sum(counts))
    assert np.array_equal(np.concatenate([expected[:0], *parts]), expected)


def test_the_seed_has_the_size_of_an_output() -> None:
    assert np.array_equal(MT19937(3).take(5), MT19937(3 + 2**32).take(5))
    assert np.array_equal(MT19937_64(3).take(5), MT19937_64(3 + 2**64).take(5))
    assert not np.array_equal(MT19937_64(3).take(5), MT19937_64(3 + 2**32).take(5))
    assert MT19937_64(-1).take(1) == MT19937_64(2**64 - 1).take(1)
