"""`parallel.backend=dtensor`: the curves, gradients and masks of the explicit operators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hydratron.checkpoint.folder import verify
from hydratron.checkpoint.trust import TrustedReader
from tests.distributed.test_splits import trained
from tests.helpers.prepared import sentences_prepared, synthetic_prepared
from tests.helpers.ranks import run_ranks
from tests.helpers.training import series, small_training

SEQUENCE = {
    "architecture": "gpt",
    "model__layernorm": {"placement": "post"},
    "parallel__sequence_parallel": True,
}
ZERO = {**SEQUENCE, "dp": 2, "parallel__distributed_optimizer": True}
DROPOUT = {"architecture": "bert", "model__dropout": 0.1}
WAYS = [
    pytest.param(SEQUENCE, id="gpt-sequence"),
    pytest.param(ZERO, marks=pytest.mark.whole, id="gpt-sequence-zero"),
    pytest.param(DROPOUT, id="bert-dropout"),
]


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_run_of_the_explicit_operators(way: dict[str, Any], tmp_path: Path) -> None:
    options = {"dp": 1, **way}
    architecture, dp = options.pop("architecture"), options.pop("dp")
    prepare = {"gpt": lambda f: synthetic_prepared(f, 60), "bert": sentences_prepared}[architecture]
    data = prepare(tmp_path / "data")
    rows, gradients, saved = {}, {}, {}
    for backend in ("explicit", "dtensor"):
        folder = tmp_path / backend
        folder.mkdir()
        config = small_training(
            data, 2, dp, model__architecture=architecture, model__attention="manual",
            model__seq_length=32, parallel__backend=backend, trainer__max_steps=2,
            trainer__val_every_n_steps=2, **options,
        )  # fmt: skip
        gradients[backend] = run_ranks(trained, 2 * dp, config, folder, timeout=120)
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        rows[backend] = [json.loads(line) for line in lines]
        checkpoint = folder / "checkpoints" / "step_00000002"
        saved[backend] = TrustedReader(checkpoint, verify(checkpoint)).saved()
    for metric in ("train/loss", "grad_norm", "val/loss"):
        wanted = series(rows["explicit"], metric)
        assert series(rows["dtensor"], metric) == pytest.approx(wanted, rel=1e-5, abs=0), metric
    for own, expected in zip(gradients["dtensor"], gradients["explicit"], strict=True):
        assert own.keys() == expected.keys()
        for name, gradient in expected.items():
            error = torch.linalg.vector_norm(own[name] - gradient)
            assert error <= 1e-5 * torch.linalg.vector_norm(gradient), name
    assert saved["dtensor"] == saved["explicit"]
