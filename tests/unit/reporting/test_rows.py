from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hydratron.reporting.records import Run
from hydratron.reporting.rows import Rows, read_metrics

NUMBERS = st.one_of(
    st.floats(), st.integers(-(2**53), 2**53), st.none(), st.sampled_from([2**63, 10**25])
)
LOGGED = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c/d"]), NUMBERS), max_size=8)


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LOGGED)
def test_columns_say_the_same_as_rows_read_one_by_one(
    tmp_path: Path, values: list[dict[str, Any]]
) -> None:
    logged = [{"step": step, **row} for step, row in enumerate(values)]
    found = read_metrics(written(tmp_path / "metrics.jsonl", logged))
    # A null stands for what was no number.
    logged = [{k: math.nan if v is None else v for k, v in row.items()} for row in logged]
    fast, slow = Run(tmp_path, {}, rows=found), Run(tmp_path, {}, rows=logged)
    assert isinstance(found, Rows) or not logged
    assert fast.keys == slow.keys
    for key in slow.keys:
        assert same(fast.columns[key], slow.columns[key])
        last, wanted = fast.final(key), slow.final(key)
        assert last == wanted or (math.isnan(last or 0) and math.isnan(wanted or 0))
        for one, other in zip(fast.curve(key), slow.curve(key), strict=True):
            assert same(one, other)
    assert len(found) == len(logged)
    for row, original in zip(found, logged, strict=True):
        assert set(row) == set(original)
        assert same(
            np.array([*map(row.get, original)], float), np.array([*original.values()], float)
        )


def test_a_row_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    logged: list[dict[str, Any]] = [{"step": 1, "lr": 0.5}, {"step": 2, "n": 7}, {"step": 3}]
    found = read_metrics(written(tmp_path / "metrics.jsonl", logged))
    assert list(found) == logged
    assert (found[0], found[-1], found[1:]) == (logged[0], logged[2], logged[1:])
    assert isinstance(found[1]["n"], int)
    with pytest.raises(IndexError):
        found[3]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ('{"step": 1}{"step": 2}\n{"step": 3}\n', [3]),
        ('{"step": 1}{"step": 2}\n\n{"step": 3}\n', [3]),
        ('{"step": 1}\n{"step": 2, "tok', [1]),
        ('{"step": 1}\n{"step": 2}', [1, 2]),
        ('{"step": 1}\n\n{"step": 2}\n', [1, 2]),
        ('{"step": 1}\n{"tokens": 2}\n{"step": 3}\n', [1, 3]),
        ('{"step": 1.5}\n{"step": 3}\n', [3]),
        ('{"step": 1}\n{"step": 3}\n{"step": 2}\n', [1, 2]),
        ('{"step": 1, "a": [{"b": 2}]}\n{"step": 2}\n', [1, 2]),
        ('{"step": 1, "a": true}\n', [1]),
        ('{"tokens": 1}\n', []),
        ("\n", []),
        ("", []),
    ],
)
def test_what_is_no_table_of_numbers_is_read_line_by_line(
    tmp_path: Path, text: str, steps: list[int]
) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    assert [row["step"] for row in read_metrics(path)] == steps


def test_texts_stay_as_they_were_logged(tmp_path: Path) -> None:
    logged = [{"step": 1, "at": "2026-01-02"}, {"step": 2, "at": "2026-01-03"}]
    assert list(read_metrics(written(tmp_path / "metrics.jsonl", logged))) == logged


def test_many_rows_keep_the_order_of_their_keys(tmp_path: Path) -> None:
    # More than one block of Arrow's own choice, with keys that come late.
    logged = [{"step": i, "x" * 200: 0.5} for i in range(9000)] + [{"step": 9000, "late": 1}]
    found = read_metrics(written(tmp_path / "metrics.jsonl", logged))
    assert isinstance(found, Rows)
    assert found.keys == ("step", "x" * 200, "late")
    assert found[-1] == logged[-1]
