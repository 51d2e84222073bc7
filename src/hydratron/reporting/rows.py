"""The rows of a metrics.jsonl: as columns where all values are numbers, else one by one."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
from pyarrow import json as arrow_json

Row = dict[str, Any]
LARGEST_BLOCK = 2**30
LARGEST = 2**63
NULL = re.compile(rb":\s*null\b")


class Rows(Sequence[Row]):
    """Logged rows held as columns of numbers; a row is made when it is asked for.

    A key that a row did not log is not in it; null is a number that was not finite, and is nan.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        picked = range(len(self))
        if isinstance(index, int):
            return _rows(self._table.slice(picked[index], 1))[0]
        return _rows(self._table.take(pa.array(picked[index], pa.int64())))

    def __iter__(self) -> Iterator[Row]:
        return iter(_rows(self._table))

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._table.column_names)

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """One float array `[rows]` per key, nan where a row lacks it."""
        table = self._table
        return {key: table[key].cast(pa.float64(), safe=False).to_numpy() for key in self.keys}

    def last(self, key: str) -> float | None:
        """The value of the last row that has one."""
        if key not in self.keys:
            return None
        known = self._table[key].drop_null()
        return float(known[-1].as_py()) if len(known) else None


def read_metrics(path: Path) -> Sequence[Row]:
    """The rows of a metrics.jsonl that may be being written: lines that are not whole are left out.

    A job that goes on from a checkpoint logs some steps again: the later rows replace the earlier.
    """
    if not path.is_file():
        return []
    content = path.read_bytes()
    table = _numbers(content)
    return _one_by_one(content) if table is None else Rows(table)


def _numbers(content: bytes) -> pa.Table | None:
    """The file as columns, ten times faster; None where `_one_by_one` might read it otherwise."""
    try:
        table = arrow_json.read_json(
            # Arrow tells null from a key that is not there as little as its table does.
            io.BytesIO(NULL.sub(b":NaN", content)),
            # In one block: the types and the order of the keys are those of the whole file.
            read_options=arrow_json.ReadOptions(
                use_threads=False, block_size=min(len(content) + 1, LARGEST_BLOCK)
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    known = (pa.types.is_int64, pa.types.is_float64, pa.types.is_null)
    if not all(any(of(kind) for of in known) for kind in table.schema.types):
        return None
    # Arrow takes two objects on one line, which is none that a job wrote.
    if table.num_rows != content.count(b"\n{") + content.startswith(b"{"):
        return None
    if "step" not in table.column_names or not pa.types.is_int64(table["step"].type):
        return None
    if table["step"].null_count or (np.diff(table["step"].to_numpy()) < 0).any():
        return None
    return table


def _one_by_one(content: bytes) -> list[Row]:
    rows: list[Row] = []
    for row in _parse(content.decode("utf-8", errors="replace")):
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            continue
        if any(isinstance(value, int) and abs(value) > LARGEST for value in row.values()):
            continue  # No number that a column has room for.
        if rows and row["step"] < rows[-1]["step"]:
            rows = [earlier for earlier in rows if earlier["step"] < row["step"]]
        rows.append({k: math.nan if v is None else v for k, v in row.items()})
    return rows


def _parse(text: str) -> list[Any]:
    """The JSON values of the lines, without those that are not whole."""
    text = text.rstrip("\n")
    try:
        # As one array, which is much faster; one value per line is what the count makes sure of.
        values: list[Any] = json.loads("[" + text.replace("\n", ",") + "]")
        if len(values) == text.count("\n") + 1:
            return values
    except (ValueError, RecursionError):
        pass
    values = []
    for line in text.splitlines():
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return values


def _rows(table: pa.Table) -> list[Row]:
    return [{k: v for k, v in row.items() if v is not None} for row in table.to_pylist()]
