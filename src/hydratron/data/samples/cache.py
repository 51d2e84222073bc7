"""Arrays that many processes need and one builds: kept on disk, mapped by all.

The name of an entry is a hash of everything that decides its content, so an entry is never out of
date; one that is damaged is built again.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hydratron.data.folders import replacing
from hydratron.data.mapped import mapped_npy
from hydratron.hashing import json_sha256
from hydratron.job import write_json
from hydratron.locks import locked

Arrays = dict[str, npt.NDArray[Any]]
CONTENT = "content.json"


def cached(folder: Path, identity: Mapping[str, Any], build: Callable[[], Arrays]) -> Arrays:
    """The arrays that `build` returns, mapped from `folder`; built when they are not there.

    `identity` is plain JSON.  Any number of processes may ask at once: one builds, the others wait.
    Where the folder cannot be written, the arrays are built in memory.
    """
    entry = folder / json_sha256(identity)[:16]
    arrays = _read(entry)
    if arrays is not None:
        return arrays
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{entry.name}.lock"):
            arrays = _read(entry)
            return arrays if arrays is not None else _write(entry, identity, build())
    except OSError as error:
        warnings.warn(f"the sample order is not kept: {error}", stacklevel=2)
        return build()


def fingerprint(values: npt.NDArray[Any]) -> str:
    """A hash of an array's content."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def _read(entry: Path) -> Arrays | None:
    """The arrays of a whole entry; None when it is missing, cut or of other shapes."""
    try:
        shapes = json.loads((entry / CONTENT).read_text(encoding="utf-8"))["arrays"]
        arrays = {name: mapped_npy(entry / f"{name}.npy") for name in shapes}
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    return arrays if _shapes(arrays) == shapes else None


def _write(entry: Path, identity: Mapping[str, Any], arrays: Arrays) -> Arrays:
    with replacing(entry) as building:
        for name, values in arrays.items():
            np.save(building / f"{name}.npy", values, allow_pickle=False)
        content = {"identity": identity, "arrays": _shapes(arrays)}
        write_json(building / CONTENT, content)
    # Mapped, so that processes share the pages and what was built can be freed.
    return _read(entry) or arrays


def _shapes(arrays: Arrays) -> dict[str, list[Any]]:
    return {name: [values.dtype.str, list(values.shape)] for name, values in arrays.items()}
