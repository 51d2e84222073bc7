"""All logged values as one CSV, for other tools; nothing is rounded or left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from hydratron.reporting.differences import varying
from hydratron.reporting.formats import cell
from hydratron.reporting.metrics import COLUMNS
from hydratron.reporting.records import Run

WHOLE_BELOW = 2.0**53


def write_curves(runs: Sequence[Run], file: BinaryIO) -> None:
    """One line per logged row: run, sweep (where there are several), the configuration keys that
    differ, step, tokens, seconds, then the metrics; what a row lacks is empty."""
    told = {"run": _array([run.name for run in runs])}
    if len({run.sweep for run in runs}) > 1:
        told["sweep"] = _array([run.sweep for run in runs])
    for key in varying(runs):
        told[key] = _array([cell(run.settings.get(key)) for run in runs])
    logged = dict.fromkeys([*COLUMNS, *(key for run in runs for key in run.keys)])
    # A metric may have the name of a setting: the metric is what is asked for here.
    types = {k: values.type for k, values in told.items()} | {
        key: kind for key in logged if (kind := _type(runs, key)) is not None
    }
    schema = pa.schema(list(types.items()))
    # Run by run: the text of a large sweep is never in memory as a whole.
    with csv.CSVWriter(file, schema) as writer:
        for index, run in enumerate(runs):
            columns = {key: pa.repeat(values[index], len(run.rows)) for key, values in told.items()}
            columns |= {key: _values(run, key, types[key]) for key in logged if key in types}
            writer.write_batch(pa.record_batch([columns[key] for key in types], schema))


def _array(values: list[Any]) -> Any:
    """One value per run; texts where they are not all numbers."""
    series = pd.Series(values).infer_objects()
    if series.dtype == object:
        series = series.map(lambda v: None if v is None else str(v))
    return pa.array(series, from_pandas=True)


def _type(runs: Sequence[Run], key: str) -> Any:
    """The type of a metric in all runs: whole numbers where all are, None where there is none."""
    if any(key in run.keys and key not in run.columns for run in runs):
        return pa.string()
    parts = [run.columns[key] for run in runs if key in run.columns]
    if all(np.isnan(values).all() for values in parts):
        return None
    return pa.int64() if all(map(_whole, parts)) else pa.float64()


def _whole(values: np.ndarray) -> bool:
    known = values[~np.isnan(values)]
    return bool(((known == np.trunc(known)) & (np.abs(known) < WHOLE_BELOW)).all())


def _values(run: Run, key: str, kind: Any) -> Any:
    """One value per row; nan and what a row lacks are null."""
    if kind == pa.string():
        values = (row.get(key) for row in run.rows)
        return pa.array([None if v is None else str(v) for v in values], kind)
    if key not in run.columns:
        return pa.nulls(len(run.rows), kind)
    return pa.array(run.columns[key], from_pandas=True).cast(kind)
