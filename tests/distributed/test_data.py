"""Data under training: the order over resumes, workers that read ahead, and wrong tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.prepared import synthetic_prepared
from tests.helpers.training import run, series

# 6,000 tokens give 46 steps of 128: an order of 60 steps is not one of 20 or 40.
STEADY: dict[str, Any] = {"schedule__decay": "constant", "trainer__val_every_n_steps": 100}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_prepared(tmp_path_factory.mktemp("data") / "small", 60)


@pytest.fixture(scope="module")
def short(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Twenty steps, and their checkpoints."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    kept: dict[str, Any] = {"checkpoint__every_n_steps": 10, "checkpoint__keep": 9}
    return run(folder, data, trainer__max_steps=20, **kept, **STEADY)[0], folder / "checkpoints"


@pytest.mark.parametrize("max_steps", [15, 60])
def test_a_resumed_run_keeps_its_order_whatever_its_end(
    max_steps: int, short: Any, data: Path, tmp_path: Path
) -> None:
    rows, checkpoints = short
    again, _ = run(
        tmp_path / "job",
        data,
        resume=checkpoints / "step_00000010",
        trainer__max_steps=max_steps,
        **STEADY,
    )
    common = range(11, min(max_steps, 20) + 1)
    for key in ("train/loss", "grad_norm"):
        before, after = series(rows, key), series(again, key)
        assert [after[step] for step in common] == [before[step] for step in common]
    assert max(series(again, "train/loss")) == max_steps


def test_a_second_resume_keeps_it_too(short: Any, data: Path, tmp_path: Path) -> None:
    _, checkpoints = short
    kept: dict[str, Any] = {"checkpoint__every_n_steps": 5, "checkpoint__keep": 20}
    longer, _ = run(
        tmp_path / "longer",
        data,
        resume=checkpoints / "step_00000010",
        trainer__max_steps=60,
        **kept,
        **STEADY,
    )
    # From a step of the first order and from one of the second, to yet another end.
    for step in (15, 25):
        again, _ = run(
            tmp_path / f"again{step}",
            data,
            resume=tmp_path / "longer" / "checkpoints" / f"step_{step:08d}",
            trainer__max_steps=64,
            **STEADY,
        )
        for key in ("train/loss", "grad_norm"):
            before, after = series(longer, key), series(again, key)
            assert [after[s] for s in range(step + 1, 61)] == [
                before[s] for s in range(step + 1, 61)
            ]


def test_other_tokens_are_refused_on_a_resume(short: Any, tmp_path: Path) -> None:
    other = synthetic_prepared(tmp_path / "other", 60, tokens=6100)
    with pytest.raises(AssertionError, match="was trained on other tokens; start a new run"):
        run(tmp_path / "job", other, resume=short[1] / "step_00000010", **STEADY)


def test_workers_that_read_ahead_change_nothing(short: Any, data: Path, tmp_path: Path) -> None:
    rows, _ = run(tmp_path / "job", data, trainer__max_steps=20, data__num_workers=1, **STEADY)
    for key in ("train/loss", "grad_norm", "val/loss"):
        assert series(rows, key) == series(short[0], key)
    assert all(0 <= share < 1 for share in series(rows, "perf/data_wait").values())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_token_that_the_vocabulary_lacks_stops_two_ranks(workers: int, tmp_path: Path) -> None:
    data = synthetic_prepared(tmp_path / "data", 60)
    path = data / "train.bin"
    # Every token of the first document becomes 60, which the padded table of 64 rows would take.
    content = path.read_bytes()
    path.write_bytes((60).to_bytes(2, "little") * 600 + content[1200:])
    with pytest.raises(
        AssertionError, match=r"token=60: the vocabulary has 60 entries; .*train.bin"
    ):
        run(tmp_path / "job", data, tp=2, trainer__max_steps=20, data__num_workers=workers)
