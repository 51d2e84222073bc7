"""All logged values as one CSV, for other tools; nothing is rounded or left out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hydratron.reporting.differences import varying
from hydratron.reporting.formats import cell
from hydratron.reporting.records import IDENTITY, Run, tidy


def curves_csv(runs: Sequence[Run]) -> str:
    """One line per logged row: run, sweep (where there are several), the configuration keys that
    differ, step, tokens, seconds, then the metrics; what a row lacks is empty."""
    import pyarrow as pa
    from pyarrow import csv

    logged = tidy(runs)
    logged = logged.drop(columns=[c for c in logged.columns if logged[c].isna().all()])
    several = len({run.sweep for run in runs}) > 1
    lengths = [len(run.rows) for run in runs]
    columns = {"run": pa.array(np.repeat([run.name for run in runs], lengths).tolist())}
    if several:
        columns["sweep"] = pa.array(np.repeat([run.sweep for run in runs], lengths).tolist())
    for key in varying(runs):
        values = pd.Series([cell(run.settings.get(key)) for run in runs]).infer_objects()
        if values.dtype == object:
            values = values.map(lambda v: None if v is None else str(v))
        columns[key] = pa.array(values.repeat(lengths), from_pandas=True)
    for key in logged.columns:
        if key not in IDENTITY:
            columns[key] = _numbers(logged[key])
    with io.BytesIO() as file:
        csv.write_csv(pa.table(columns), file)
        return file.getvalue().decode()


def _numbers(values: pd.Series) -> Any:
    """An Arrow array; of whole numbers where all of them are."""
    import pyarrow as pa

    array = pa.array(values, from_pandas=True)
    known = values.dropna()
    whole = known.dtype == float and bool((known == np.trunc(known)).all())
    return array.cast(pa.int64()) if whole and known.abs().max() < 2**53 else array
