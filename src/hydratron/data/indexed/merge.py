"""Several token files as one, without their tokens passing through memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydratron.data.indexed.format import idx_path
from hydratron.data.indexed.reader import IndexedDataset
from hydratron.data.indexed.writer import IndexedDatasetWriter
from hydratron.errors import DataError, Problem


def merge(prefixes: Sequence[str | Path], output: str | Path) -> None:
    """Write the documents of all prefixes, in this order, as the dataset `output`.

    `output` appears whole or not at all, and may be one of the prefixes.  Raises DataError when a
    prefix cannot be opened or its tokens are of another type than the first one's, ValueError
    without any prefix.
    """
    if not prefixes:
        raise ValueError("there is nothing to merge")
    datasets = [IndexedDataset(prefix) for prefix in prefixes]
    first = datasets[0]
    problems = [
        Problem(
            "token file",
            idx_path(dataset.prefix),
            f"holds {dataset.dtype}; expected {first.dtype}, as in {idx_path(first.prefix)}",
        )
        for dataset in datasets
        if dataset.dtype != first.dtype
    ]
    if problems:
        raise DataError(problems)
    with IndexedDatasetWriter(output, first.dtype) as writer:
        for dataset in datasets:
            writer.add_dataset(dataset)
