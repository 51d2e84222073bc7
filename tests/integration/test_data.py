"""From text to a trained job by the commands of the README, on the user's own tokens."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from hydratron.cli import main
from hydratron.data.indexed import bin_path
from hydratron.job import JobFolder, read_json

SMALL = [
    "model=gpt_pico", "model.num_layers=1", "model.hidden_size=32", "model.seq_length=16",
    "trainer.max_steps=3", "trainer.val_samples=8", "trainer.val_every_n_steps=3",
    "trainer.log_every_n_steps=1", "trainer.accelerator=cpu", "logger=none", "data.split=80/20",
]  # fmt: skip
WORDS = ("we", "the", "people", "of", "these", "states", "hold", "that", "liberty", "and", "union")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets `a` and `b` by one tokenizer, and `c` by another."""
    folder = tmp_path_factory.mktemp("tokens")
    for seed, name in enumerate("abc"):
        draw = random.Random(seed)
        lines = [json.dumps({"text": " ".join(draw.choices(WORDS, k=60))}) for _ in range(30)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
        spec = {"b": str(folder / "a" / "tokenizer.json")}.get(name, "bpe")
        size = [] if name == "b" else ["--vocab-size", "270"]
        argv = ["prepare", f"{folder}/{name}.jsonl", "--output", f"{folder}/{name}"]
        assert main([*argv, "--tokenizer", spec, *size]) == 0
    return folder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_blend_trains_over_two_ranks(tokens: Path, tmp_path: Path) -> None:
    sets = [f"data.paths=[{tokens}/a,{tokens}/b]", "data.weights=[0.7,0.3]"]
    argv = ["train", "data=blend", *sets, *SMALL, "parallel=tp2", "hydra.run.dir=job"]
    assert main(argv) == 0
    job = JobFolder(tmp_path / "job")
    result = read_json(job.result)
    assert result is not None
    assert (result["status"], result["step"]) == ("completed", 3)
    rows = [json.loads(line) for line in job.metrics.read_text().splitlines()]
    shares = [row["perf/data_wait"] for row in rows if "perf/data_wait" in row]
    assert len(shares) == 3
    assert all(0 < share < 1 for share in shares)


def test_prepare_only_builds_orders_that_training_then_reads(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "data=indexed", f"data.path={tokens}/a", *SMALL, "-m", "seed=1,2"]
    assert main([*argv, "--prepare-only"]) == 0
    (folder,) = map(Path, capsys.readouterr().out.split())
    assert list(tmp_path.iterdir()) == [tmp_path / "outputs"]
    entries = {path: path.stat().st_mtime_ns for path in (folder / "index").glob("*/*.npy")}
    # Validation, and the training of two seeds: three arrays each.
    assert len(entries) == 9
    assert main([*argv, "hydra.sweep.dir=sweep"]) == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "index").glob("*/*.npy")} == entries


def test_another_tokenizer_is_refused_before_anything_starts(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "data=blend", f"data.paths=[{tokens}/a,{tokens}/c]", *SMALL]
    assert main(argv) == 2
    assert f"data.paths={tokens}/c: was made by tokenizer bpe (" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(30)
def test_a_token_that_the_vocabulary_lacks_ends_the_job_before_its_first_step(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["prepare", f"{tokens}/a.jsonl", "--output", "broken", "--vocab-size", "270"]
    assert main(argv) == 0
    path = bin_path(tmp_path / "broken" / "text_document")
    wrong = np.full(path.stat().st_size // 2, 270, "<u2")
    path.write_bytes(wrong.tobytes())
    capsys.readouterr()
    # The table of 1,024 rows would take it.
    argv = ["train", "data=indexed", "data.path=broken", *SMALL, "parallel=tp2"]
    assert main([*argv, "hydra.run.dir=job"]) == 1
    said = capsys.readouterr().err
    assert "token=270: the vocabulary has 270 entries" in said
    assert f"{path}, document " in said
    assert not JobFolder(tmp_path / "job").metrics.exists()
    assert main(["prepare", "--verify", "broken"]) == 1
    assert "document 0, sequence 0, offset 0: token 270 is outside the" in capsys.readouterr().err
