"""Fine-tuning: every degree is the same run with the same predictions, and it can be resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hydratron.config.load import from_dict
from hydratron.data.prepare import prepare_job
from tests.helpers.labelled import labelled_files
from tests.helpers.training import run, series

LENGTHS = {"sst2": 16, "race": 32, "squad2": 72}


def options(task: str, files: Path, cache: Path) -> dict[str, Any]:
    config = from_dict(
        {
            "model": {"architecture": "bert", "seq_length": LENGTHS[task]},
            "task": task,
            "data": {"source": "labelled", "path": str(files), "cache_dir": str(cache)},
            "tokenizer": {"kind": "bert", "path": str(files / "vocab.txt")},
        }
    )
    return {
        "data__prepared": str(prepare_job(config, progress=False)),
        "task": task,
        "model__architecture": "bert",
        "model__seq_length": LENGTHS[task],
        "model__gelu": "erf",
        "trainer__max_steps": 8,
        "trainer__val_every_n_steps": 4,
        "trainer__val_samples": None,
    }


@pytest.fixture(scope="module", params=LENGTHS)
def asked(request: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp(request.param)
    return options(request.param, labelled_files(folder / "files", request.param), folder / "cache")


def told(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_every_degree_is_the_same_run(asked: dict[str, Any], tmp_path: Path) -> None:
    whole = {name: value for name, value in asked.items() if name != "data__prepared"}
    data = Path(asked["data__prepared"])
    rows, result = run(tmp_path / "one", data, **whole, trainer__micro_batch_size=8)
    said = told(tmp_path / "one")
    # 21 examples and a batch of 4 by two replicas: both end in a batch that is not full.
    assert len(said) == 21
    for tp, dp in ((2, 1), (1, 2)):
        folder = tmp_path / f"tp{tp}_dp{dp}"
        others, other = run(folder, data, tp=tp, dp=dp, **whole, trainer__micro_batch_size=4)
        first = min(series(rows, "grad_norm"))
        norms = (series(found, "grad_norm")[first] for found in (others, rows))
        assert next(norms) == pytest.approx(next(norms), rel=1e-5)
        # Adam divides a small gradient by its own size: on RACE what rounding has left in the first
        # update grows in the norms of later ones, alike at either degree, from 2e-6 to 2e-4.
        for key, rel in (("train/loss", 1e-5), ("val/loss", 1e-5), ("grad_norm", 4e-4)):
            expected = pytest.approx(series(rows, key), rel=rel, abs=1e-6)
            assert series(others, key) == expected, key
        assert other["parameters"] == result["parameters"]
        assert [row["prediction"] for row in told(folder)] == [row["prediction"] for row in said]
        for key in (key for key in result if key.startswith("val/") and key != "val/loss"):
            assert other[key] == pytest.approx(result[key], abs=1e-5), key


def test_a_resumed_fine_tuning_is_bitwise(asked: dict[str, Any], tmp_path: Path) -> None:
    """Over the end of an epoch, with dropout."""
    whole = {name: value for name, value in asked.items() if name != "data__prepared"}
    whole |= {"model__dropout": 0.1, "trainer__max_steps": 12, "checkpoint__every_n_steps": 6}
    whole |= {"checkpoint__keep": 3, "trainer__val_every_n_steps": 6}
    data = Path(asked["data__prepared"])
    rows, _ = run(tmp_path / "whole", data, **whole)
    start = tmp_path / "whole" / "checkpoints" / "step_00000006"
    again, _ = run(tmp_path / "resumed", data, resume=start, **whole)
    for key in ("train/loss", "val/loss", "grad_norm"):
        later = {step: value for step, value in series(rows, key).items() if step > 6}
        assert series(again, key) == later
    assert told(tmp_path / "resumed") == told(tmp_path / "whole")
