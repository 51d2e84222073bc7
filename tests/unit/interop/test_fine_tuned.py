"""Fine-tuned models as transformers has them: its classes give the same answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hydratron.interop import own
from hydratron.interop.convert import convert
from hydratron.interop.model import Model, built
from tests.helpers import foreign

transformers = pytest.importorskip("transformers")

CLASSES = {
    ("sst2", "bert"): "BertForSequenceClassification",
    ("mnli", "megatron-bert"): "MegatronBertForSequenceClassification",
    ("race", "bert"): "BertForMultipleChoice",
    ("squad2", "bert"): "BertForQuestionAnswering",
    ("squad1", "megatron-bert"): "MegatronBertForQuestionAnswering",
}


def fine_tuned(task: str, family: str) -> Model:
    """Random weights with the head of the task."""
    options, words = foreign.options(family), foreign.tokenizer("bert")
    generator = torch.Generator().manual_seed(3)
    network = built(options, words.vocab_size, task=task)
    tensors = {
        name: torch.randn(parameter.shape, generator=generator) * 0.3
        for name, parameter in network.named_parameters()
    }
    return Model(options, tensors, words, task)


@pytest.mark.parametrize(("task", "family"), CLASSES)
def test_transformers_gives_the_same_answers(task: str, family: str, tmp_path: Path) -> None:
    made = fine_tuned(task, family)
    (tmp_path / "ours").mkdir()
    own.write(tmp_path / "ours", made)
    outcome = convert(tmp_path / "ours", tmp_path / "theirs", "huggingface")
    assert outcome.difference < 1e-12
    assert outcome.missing == ()
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert config["architectures"] == [CLASSES[task, family]]
    # Any user's way to load it, whose classes are those of config.json.
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    network = getattr(transformers, CLASSES[task, family]).from_pretrained(tmp_path / "theirs")
    asked = words("the people hold", "liberty and union", return_tensors="pt")
    inputs = asked["input_ids"], asked["token_type_ids"], asked["attention_mask"]
    with torch.inference_mode():
        mine: Any = made.network()
        if task == "race":
            asked = {name: torch.stack([value, value.flip(1)], 1) for name, value in asked.items()}
            said = network.eval()(**asked).logits
            ours = mine.choose(*(asked[n] for n in (
                "input_ids", "token_type_ids", "attention_mask")))  # fmt: skip
        elif task.startswith("squad"):
            answer = network.eval()(**asked)
            said = torch.stack([answer.start_logits, answer.end_logits], dim=-1)
            ours = mine.logits(*inputs)
        else:
            said, ours = network.eval()(**asked).logits, mine.logits(*inputs)
    assert (ours - said).abs().max() < 1e-5
    if task == "mnli":
        assert network.config.id2label == {0: "contradiction", 1: "entailment", 2: "neutral"}
