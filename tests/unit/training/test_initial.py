"""A head goes along to the task that it was trained for, and to no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hydratron.interop import own
from hydratron.interop.model import Model, built
from hydratron.tasks.table import row_of
from hydratron.training.initial import fates, other_heads, saved_weights
from tests.helpers import foreign

HEAD = "classification_head.dense.weight"


@pytest.fixture(scope="module")
def sst2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    options, words = foreign.options("bert"), foreign.tokenizer("bert")
    network = built(options, words.vocab_size, task="sst2")
    tensors = {n: torch.full(p.shape, 0.5) for n, p in network.named_parameters()}
    model = Model(options, tensors, words, "sst2")
    return own.write(tmp_path_factory.mktemp("sst2"), model), model


@pytest.mark.parametrize(("task", "comes"), [("sst2", True), ("qqp", False), ("mnli", False)])
def test_the_head_of_another_task_is_drawn_anew(
    task: str, comes: bool, sst2: tuple[Path, Model]
) -> None:
    checkpoint, model = sst2
    row, words = row_of(task, "bert"), model.vocab_size
    network = built(model.options, words, task=task)
    table = row.task().parameters(model.options.shape(words), 0.02)
    saved, anew = saved_weights(checkpoint), other_heads(row, checkpoint)
    shapes = {name: list(p.shape) for name, p in network.named_parameters()}
    told = fates(shapes, table, saved, words, checkpoint, anew)
    assert [HEAD in names for names in (told.taken, told.drawn, told.left)] == [
        comes, not comes, not comes
    ]  # fmt: skip


def test_both_squads_share_their_head(sst2: tuple[Path, Model], tmp_path: Path) -> None:
    _, model = sst2
    network = built(model.options, model.vocab_size, task="squad1")
    tensors = {n: torch.zeros(p.shape) for n, p in network.named_parameters()}
    there = own.write(tmp_path, Model(model.options, tensors, model.tokenizer, "squad1"))
    assert other_heads(row_of("squad2", "bert"), there) == ()
    assert "span_head" in other_heads(row_of("mnli", "bert"), there)
