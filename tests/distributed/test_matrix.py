"""Every placement, norm and degree, with and without recomputation, is the run of one process."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hydratron.models.norms import NORMS
from hydratron.models.placements import PLACEMENTS
from tests.helpers.prepared import synthetic_prepared
from tests.helpers.training import Rows, run, series

DEGREES = [(2, 1), (4, 1), (1, 2), (2, 2), (1, 4)]
# `pre` and `post` with LayerNorm are trained at every degree by the other tests of this folder.
CHOSEN = {
    ("sandwich", "rmsnorm", "layer", (2, 1)),
    ("deepnorm", "layernorm", "none", (2, 2)),
}


def cells() -> list[Any]:
    found = []
    for cell in product(PLACEMENTS, NORMS, ("none", "layer"), DEGREES):
        marks = () if cell in CHOSEN else pytest.mark.whole
        placement, norm, recompute, (tp, dp) = cell
        name = f"{placement}-{norm}-{recompute}-tp{tp}_dp{dp}"
        found.append(pytest.param(*cell, marks=marks, id=name))
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_prepared(tmp_path_factory.mktemp("data") / "small", 60)


@pytest.fixture(scope="module")
def alone() -> dict[Any, Rows]:
    """The rows of one process by what was trained, for all degrees of it."""
    return {}


@pytest.mark.parametrize(("placement", "norm", "recompute", "degree"), cells())
def test_every_degree_is_the_same_run(
    placement: str,
    norm: str,
    recompute: str,
    degree: tuple[int, int],
    data: Path,
    alone: dict[Any, Rows],
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {
        "model__layernorm": {"placement": placement, "norm": norm},
        "model__recompute": recompute, "trainer__max_steps": 12, "trainer__val_every_n_steps": 6,
        "trainer__micro_batch_size": 2, "checkpoint__at_end": False,
    }  # fmt: skip
    key = placement, norm, recompute
    if key not in alone:
        alone[key] = run(tmp_path / "one", data, **options)[0]
    tp, dp = degree
    rows, _ = run(tmp_path / "split", data, tp=tp, dp=dp, **options)
    for metric in ("train/loss", "grad_norm", "val/loss"):
        wanted = series(alone[key], metric)
        assert wanted
        assert series(rows, metric) == pytest.approx(wanted, rel=1e-5, abs=0), metric
