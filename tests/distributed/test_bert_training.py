"""BERT trained: every parallel degree and micro-batch is the same run, watched layer by layer."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hydratron.config.load import from_dict
from hydratron.data.corpus import open_corpus
from hydratron.data.samples.assemble import bert_samples, validation_samples
from tests.helpers.prepared import sentences_prepared, synthetic_prepared
from tests.helpers.training import Rows, run, series

BERT: dict[str, Any] = {
    "model__architecture": "bert",
    "model__seq_length": 32,
    "trainer__max_steps": 20,
    "trainer__val_every_n_steps": 10,
    "model__gelu": "erf",
}
LOSSES = ("train/mlm_loss", "train/sop_loss", "grad_norm", "val/mlm_loss", "val/sop_loss")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentences_prepared(tmp_path_factory.mktemp("data") / "sentences")


def assert_same(rows: Rows, expected: Rows) -> None:
    for key in LOSSES:
        wanted = series(expected, key)
        assert wanted
        assert series(rows, key) == pytest.approx(wanted, rel=1e-5, abs=1e-7), key


@pytest.mark.parametrize("placement", ["post", "pre"])
def test_every_degree_and_micro_batch_is_the_same_run(
    placement: str, data: Path, tmp_path: Path
) -> None:
    options = BERT | {
        "model__layernorm": {"placement": placement},
        "stability__layers_every_n_steps": 10,
    }
    expected, result = run(tmp_path / "one", data, **options, trainer__micro_batch_size=8)
    losses = series(expected, "train/mlm_loss")
    assert losses[20] < losses[1] - 0.1
    assert result["val/loss"] == pytest.approx(result["val/mlm_loss"] + result["val/sop_loss"])
    for tp, dp, micro in ((2, 1, 4), (4, 1, 4), (1, 2, 4), (2, 2, 1)):
        split = options | {"trainer__micro_batch_size": micro}
        rows, other = run(tmp_path / f"tp{tp}_dp{dp}", data, tp=tp, dp=dp, **split)
        assert_same(rows, expected)
        assert other["parameters"] == result["parameters"]
        assert_same_layers(rows, expected)


def assert_same_layers(rows: Rows, expected: Rows) -> None:
    names = {
        f"layers/{i:02d}/{n}"
        for i in (0, 1)
        for n in ("activation_rms", "grad_norm", "update_ratio")
    }
    assert {key for row in expected for key in row if key.startswith("layers/")} == names
    for name in names:
        wanted = series(expected, name)
        assert [*wanted] == [10, 20]
        assert series(rows, name) == pytest.approx(wanted, rel=1e-3), name


def test_the_validation_row_says_what_guessing_costs(data: Path, tmp_path: Path) -> None:
    rows, _ = run(tmp_path / "job", data, **BERT)
    first, *others = [row for row in rows if "val/loss" in row]
    corpus = open_corpus(str(data))
    samples = validation_samples(bert_samples, corpus, 32, 9)
    labels = np.concatenate([samples[i]["labels"] for i in range(9)])
    counts = np.ones(60)
    for sequence in range(len(corpus.splits["train"][0].dataset)):
        counts += np.bincount(corpus.splits["train"][0].dataset[sequence], minlength=60)
    expected = -np.log(counts / counts.sum())[labels[labels >= 0]].mean()
    assert first["val/frequency_loss"] == pytest.approx(expected)
    assert not any("val/frequency_loss" in row for row in others)
    assert 0 <= first["val/sop_accuracy"] <= 1


def test_layers_are_measured_where_they_are(tmp_path: Path) -> None:
    """The layers' gradients add up to the whole, without embeddings; with and without clipping."""
    data = synthetic_prepared(tmp_path / "data", 60)
    options: dict[str, Any] = {"trainer__max_steps": 4, "stability__layers_every_n_steps": 2}
    clipped, _ = run(tmp_path / "a", data, **options, optim__clip_grad=0.01)
    free, _ = run(tmp_path / "b", data, **options, optim__clip_grad=0.0)
    for name in ("layers/00/grad_norm", "layers/01/grad_norm", "layers/01/activation_rms"):
        assert series(clipped, name)[2] == pytest.approx(series(free, name)[2], rel=0.05)
    parts = [series(free, f"layers/{i:02d}/grad_norm")[2] for i in (0, 1)]
    assert 0.3 * series(free, "grad_norm")[2] < math.hypot(*parts) < series(free, "grad_norm")[2]
    assert 1e-4 < series(free, "layers/00/update_ratio")[4] < 0.1


@pytest.mark.parametrize(("tp", "dp"), [(1, 1), (2, 1), (1, 2)])
def test_a_run_that_diverges_ends_as_a_result(tp: int, dp: int, tmp_path: Path) -> None:
    data = synthetic_prepared(tmp_path / "data", 60)
    options: dict[str, Any] = {
        "optim__lr": 30.0,
        "stability__window": 5,
        "checkpoint__every_n_steps": 4,
        "stability__diverged_nats": 1.0,
        "trainer__log_every_n_steps": 10,
        "checkpoint__keep": 9,
    }
    rows, result = run(tmp_path / "job", data, tp=tp, dp=dp, **options)
    assert result["status"] == "diverged"
    assert "step" in result["reason"]
    assert rows[-1]["step"] == result["step"] < 50
    json.dumps(result, allow_nan=False)
    saved = [int(p.name[-8:]) for p in (tmp_path / "job" / "checkpoints").iterdir()]
    diverged_at = int(result["reason"].split("step ")[1].split()[0])
    assert max(saved, default=0) < diverged_at


def test_spikes_go_on_over_a_resume(tmp_path: Path) -> None:
    data = synthetic_prepared(tmp_path / "data", 60)
    options: dict[str, Any] = {
        "stability__window": 2,
        "stability__spike_nats": 0.001,
        "trainer__max_steps": 30,
        "checkpoint__every_n_steps": 15,
        "checkpoint__keep": 2,
    }
    whole, _ = run(tmp_path / "one", data, **options)
    spikes = series(whole, "train/spikes")
    assert 0 < spikes[15] < spikes[30]
    checkpoint = tmp_path / "one" / "checkpoints" / "step_00000015"
    rows, _ = run(tmp_path / "two", data, resume=checkpoint, **options)
    assert series(rows, "train/spikes") == {s: n for s, n in spikes.items() if s > 15}


def test_the_configuration_decides_what_the_data_are() -> None:
    assert from_dict({"model": {"architecture": "bert"}}).sentences
    assert not from_dict({}).sentences
