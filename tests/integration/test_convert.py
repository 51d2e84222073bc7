"""A model comes in as the start of a run at another degree, and leaves as it came."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from hydratron.cli import main
from hydratron.interop import huggingface
from hydratron.interop.model import Model
from tests.helpers import foreign

pytest.importorskip("transformers")
TEXT = " ".join(foreign.WORDS) + ". "
OPTIONS = [
    "data=text", "data.cache_dir=cache", "logger=none", "trainer.accelerator=cpu",
    "trainer.max_steps=2", "trainer.global_batch_size=2", "trainer.val_samples=2",
    "trainer.val_every_n_steps=2", "launch.threads_per_rank=1",
]  # fmt: skip


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A GPT-2 of Hugging Face's in theirs/, and a folder text/ of its words, in a new folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    for number in range(40):
        (tmp_path / "text" / f"{number:02d}.txt").write_text(TEXT * (20 + number))
    (tmp_path / "theirs").mkdir()
    model = foreign.model("gpt2")
    huggingface.write(tmp_path / "theirs", model)
    return model


def last(folder: Path, key: str) -> Any:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return next(row[key] for row in reversed(rows) if key in row)


def test_a_foreign_model_trains_on_and_leaves_again(
    made: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = ["train", "init_from=theirs", "data.path=text", *OPTIONS, "model.num_layers=4"]
    assert main([*started, "parallel=tp2", "hydra.run.dir=job", "optim.lr=1e-9"]) == 0
    said = capsys.readouterr().err
    assert "takes 40 tensors; draws anew layers.3." in said
    assert "leaves none" in said
    recorded = json.loads((tmp_path / "job" / "provenance.json").read_text())["initial"]
    assert recorded["checkpoint"].startswith("../cache/weights-")
    assert len(recorded["taken"]) == 40
    assert all(name.startswith("layers.3.") for name in recorded["drawn"])
    # At no rate to speak of the weights stay, so that they come out as they went in.
    shutil.rmtree(tmp_path / "theirs")
    assert main(["convert", "job", "out", "--to", "huggingface"]) == 0
    found, _ = huggingface.read(tmp_path / "out")
    for name, tensor in made.raw().items():
        assert (found.tensors[name] - tensor).abs().max() < 1e-6, name
    assert math.isfinite(last(tmp_path / "job", "val/loss"))


def test_tokens_of_another_tokenizer_are_refused_before_anything_starts(
    made: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "init_from=theirs", "data.path=text", *OPTIONS, "hydra.run.dir=job"]
    assert main([*words, "tokenizer=bpe", "tokenizer.vocab_size=262"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "its tokenizer has 270 entries, the tokens are of one with 262; tokenizer=gpt2" in line
    assert not (tmp_path / "job").exists()
