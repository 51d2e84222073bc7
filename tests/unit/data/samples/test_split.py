"""Megatron-LM's split strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.config.data_rules import shares
from hydratron.data.samples.split import split_bounds


@pytest.mark.parametrize(
    ("split", "documents", "bounds"),
    [
        ("969,30,1", 1000, (0, 969, 999, 1000)),
        ("969,30,1", 10, (0, 10, 10, 10)),
        ("969/30/1", 1000, (0, 969, 999, 1000)),
        ("949,50,1", 1000, (0, 949, 999, 1000)),
        # 2.5 and 4.5 go to the even neighbours: 2 + 4, so one document is given back to all.
        ("25/45/30", 10, (0, 3, 7, 10)),
        ("1,1", 3, (0, 1, 3, 3)),
    ],
)
def test_golden_bounds(split: str, documents: int, bounds: tuple[int, ...]) -> None:
    assert split_bounds(split, documents) == bounds


@given(
    parts=st.tuples(*[st.integers(1, 1000)] * 2, st.integers(0, 1000)),
    documents=st.integers(0, 10**6),
)
def test_the_last_bound_is_the_number_of_documents(
    parts: tuple[int, int, int], documents: int
) -> None:
    bounds = split_bounds("/".join(map(str, parts)), documents)
    assert bounds[0] == 0
    assert bounds[-1] == documents
    for share, first, last in zip(parts, bounds, bounds[1:], strict=False):
        assert abs(last - first - documents * share / sum(parts)) <= 2


@pytest.mark.parametrize("split", ["", "a", "1,2,3,4", "-1,2", "nan,1", "1", "0,1,1", "1,0,1"])
def test_what_is_no_split_is_refused(split: str) -> None:
    with pytest.raises(ValueError, match="969/30/1"):
        shares(split)


def test_the_shares_add_up_to_one() -> None:
    assert shares("2,1,1") == (0.5, 0.25, 0.25)
    assert shares("3/1") == (0.75, 0.25, 0.0)
