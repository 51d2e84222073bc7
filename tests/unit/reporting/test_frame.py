from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from hydratron.job import flatten
from hydratron.reporting import load
from hydratron.reporting.frame import tidy
from hydratron.reporting.metrics import COLUMNS
from hydratron.reporting.records import Run
from tests.unit.reporting.synthetic import config, write_sweep, write_twelve


def test_the_frame_has_one_row_per_logged_row(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "sweep")
    frame = load(folder)
    logged = sum(len(p.read_text().splitlines()) for p in folder.glob("*/metrics.jsonl"))
    assert len(frame) == logged
    assert list(frame.columns) == [
        *("run", "sweep", "status", "model", "parallel", "seed"),
        *(f"model.{key}" for key in ("name", "num_layers", "hidden_size", "init_std")),
        "parallel.tensor_model_parallel_size",
        *COLUMNS,
    ]
    assert set(frame["sweep"]) == {"sweep"}
    assert set(frame["parallel"]) == {"single", "tp2"}
    assert set(frame["status"]) == {"completed", "failed"}
    last = frame[(frame["run"] == "000_gpt_pico-single-pre-s1") & (frame["step"] == 400)]
    assert list(last["train/loss"].isna()) == [False, True]
    assert list(last["val/loss"].isna()) == [True, False]


def test_texts_and_metrics_of_one_run_alone_are_in_the_frame() -> None:
    first = Run(Path("a"), {}, rows=[{"step": 1, "from": "x"}, {"step": 2}])
    second = Run(Path("b"), {}, rows=[{"step": 1, "extra": 0.5}])
    frame = tidy([first, second])
    assert list(frame["from"].fillna("-")) == ["x", "-", "-"]
    assert list(frame["extra"].fillna(-1)) == [-1, -1, 0.5]
    assert "from" not in first.columns


def test_what_was_swept_can_be_grouped_by(tmp_path: Path) -> None:
    frame = load(write_twelve(tmp_path / "s"))
    assert frame["optim.lr"].dtype == "float64"
    last = frame.dropna(subset=["val/loss"]).groupby("run").last()
    means = last[last["status"] == "completed"].groupby(["model.name", "optim.lr"])["val/loss"]
    assert dict(means.count()) == {
        ("gpt_nano", 0.001): 3,
        ("gpt_nano", 0.003): 2,
        ("gpt_pico", 0.001): 3,
        ("gpt_pico", 0.003): 2,
    }
    assert 0.1 < means.mean()["gpt_pico", 0.003] - means.mean()["gpt_pico", 0.001] < 0.2


def test_an_option_keeps_its_kind_and_a_list_is_text() -> None:
    runs = [
        Run(Path(name), flatten(asdict(config())) | settings, rows=[{"step": 1}])
        for name, settings in (
            ("a", {"data.weights": [0.5, 0.5], "model.recompute": True, "data.path": None}),
            ("b", {"data.weights": [1.0, 2.0], "model.recompute": False, "data.path": "x"}),
        )
    ]
    frame = tidy(runs)
    assert list(frame["data.weights"]) == ["[0.5, 0.5]", "[1, 2]"]
    assert list(frame["model.recompute"]) == [True, False]
    assert frame["data.path"][0] is None or pd.isna(frame["data.path"][0])
    assert "optim.lr" not in frame
