"""An encoder of Hugging Face's is fine-tuned here, leaves, and says the same in transformers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hydratron.cli import main
from hydratron.interop import huggingface
from hydratron.interop.model import Model
from tests.helpers import foreign

transformers = pytest.importorskip("transformers")
OPTIONS = [
    "task=sst2", "init_from=theirs", "data.path=sentences", "data.cache_dir=cache", "logger=none",
    "trainer.accelerator=cpu", "trainer.max_steps=6", "trainer.global_batch_size=8",
    "trainer.micro_batch_size=4", "trainer.val_every_n_steps=6", "optim.lr=1e-3",
    "launch.threads_per_rank=1", "hydra.run.dir=job",
]  # fmt: skip


def sentences(folder: Path, task: str = "train", count: int = 24) -> list[str]:
    """Those with `liberty` are positive; 1 to 20 words of the tokenizer's."""
    words, rows = foreign.WORDS, []
    for i in range(count):
        text = [words[(i * k) % len(words)] for k in range(1, 2 + i * 7 % 20)]
        rows.append(f"{' '.join(text)}\t{int('liberty' in text)}")
    folder.mkdir(exist_ok=True)
    (folder / f"{task}.tsv").write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    return [row.partition("\t")[0] for row in rows]


def encoder() -> Model:
    """Random weights; norms that leave alone what they normalise, so that sentences differ."""
    made, tensors = foreign.model("bert"), {}
    for name, tensor in made.tensors.items():
        norm = "norm" in name and name.endswith("weight")
        tensors[name] = torch.ones_like(tensor) if norm else tensor
        if name.endswith("bias"):
            tensors[name] = torch.zeros_like(tensor)
    return replace(made, tensors=tensors)


def test_transformers_predicts_what_was_predicted_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs").mkdir()
    huggingface.write(tmp_path / "theirs", encoder())
    sentences(tmp_path / "sentences")
    texts = sentences(tmp_path / "sentences", "dev", 11)
    assert main(["train", *OPTIONS]) == 0
    said = capsys.readouterr().err
    assert "draws anew classification_head.dense.weight, classification_head.dense.bias" in said
    assert main(["convert", "job", "out", "--to", "huggingface"]) == 0
    ours = [json.loads(row) for row in Path("job/predictions.jsonl").read_text().splitlines()]
    words = transformers.AutoTokenizer.from_pretrained("out")
    network = transformers.AutoModelForSequenceClassification.from_pretrained("out").eval()
    with torch.inference_mode():
        logits = network(**words(texts, padding=True, return_tensors="pt")).logits
    found = logits.softmax(dim=-1)
    told = torch.tensor([list(row["probabilities"].values()) for row in ours])
    assert (found - told).abs().max() < 1e-5
    assert found[:, 0].max() - found[:, 0].min() > 0.005  # There is something to tell.
    names = ["negative", "positive"]
    assert [names[i] for i in found.argmax(dim=-1).tolist()] == [row["prediction"] for row in ours]
