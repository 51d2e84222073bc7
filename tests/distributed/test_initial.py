"""`init_from=` at any degree: each rank takes its part of the weights, whatever the padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hydratron.errors import HydratronError
from hydratron.interop import own
from hydratron.interop.model import Model, built
from hydratron.models.gpt import GPTModel, gpt_parameters
from hydratron.models.init import initialize
from hydratron.parallel.mesh import build_mesh
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.regions import TensorParallelRegion
from hydratron.tasks.table import row_of
from hydratron.training.initial import fates, saved_weights, take
from tests.helpers import foreign
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import unshard


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    made = foreign.model("gpt2")
    return own.write(tmp_path_factory.mktemp("source"), made), made


def taken(rank: int, ranks: int, checkpoint: Path, tp: int, changes: dict[str, Any]) -> Any:
    mesh = build_mesh({"data": ranks // tp, "tensor": tp}, "cpu")
    made = foreign.options("gpt2", **changes)
    vocab_size = foreign.tokenizer("gpt").vocab_size
    shape = made.shape(vocab_size)
    table = gpt_parameters(shape, 0.1)
    network = GPTModel(shape, RandomStreams(1), TensorParallelRegion(mesh.tensor))
    initialize(network, table, 9, mesh.tensor, vocab_size)
    take(checkpoint, network, table, mesh, vocab_size)
    return {n: (p.detach(), table[n].shard_dim) for n, p in network.named_parameters()}


def whole(parts: list[Any], tp: int) -> dict[str, torch.Tensor]:
    first = parts[:tp]
    return {
        name: unshard([part[name][0] for part in first], dim) for name, (_, dim) in first[0].items()
    }


@pytest.mark.parametrize(("ranks", "tp"), [(1, 1), (2, 2), (4, 2)])
@pytest.mark.parametrize("changes", [{}, {"vocab_multiple": 512, "seq_length": 20}])
def test_every_degree_takes_the_same(
    ranks: int, tp: int, changes: dict[str, Any], source: tuple[Path, Model]
) -> None:
    checkpoint, made = source
    parts = run_ranks(taken, ranks, checkpoint, tp, changes)
    found, expected = whole(parts, tp), made.raw()
    real = made.vocab_size
    for name, tensor in expected.items():
        if name == "word_embeddings.weight":
            assert found[name][:real].equal(tensor)
            mean = tensor.double().mean(0)
            if changes:
                assert len(found[name]) == 512
                assert torch.allclose(found[name][-1].double(), mean, atol=1e-6)
        elif name == "position_embeddings":
            assert found[name].equal(tensor[: changes.get("seq_length", foreign.SEQ)])
        else:
            assert found[name].equal(tensor), name


def test_layers_that_are_not_there_are_drawn_as_ever(source: tuple[Path, Model]) -> None:
    checkpoint, made = source
    (found,) = run_ranks(taken, 1, checkpoint, 1, {"num_layers": 4})
    fresh = GPTModel(foreign.options("gpt2", num_layers=4).shape(made.vocab_size), RandomStreams(1))
    table = gpt_parameters(fresh.shape, 0.1)
    from hydratron.parallel.mesh import SINGLE

    initialize(fresh, table, 9, SINGLE, made.vocab_size)
    drawn = dict(fresh.named_parameters())
    name = "layers.3.mlp.sublayer.dense_h_to_4h.weight"
    assert found[name][0].equal(drawn[name])
    assert found["layers.2.mlp.norm.bias"][0].equal(made.tensors["layers.2.mlp.norm.bias"])


def from_sst2(rank: int, ranks: int, checkpoint: Path) -> dict[str, torch.Tensor]:
    mesh, words = build_mesh({"data": 1, "tensor": ranks}, "cpu"), foreign.tokenizer("bert")
    row, shape = row_of("qqp", "bert"), foreign.options("bert").shape(words.vocab_size)
    network, table = row.task().network(shape, RandomStreams(1)), row.task().parameters(shape, 0.1)
    initialize(network, table, 9, mesh.tensor, words.vocab_size)
    take(checkpoint, network, table, mesh, words.vocab_size, task=row)
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def test_a_head_of_as_many_other_classes_is_drawn(tmp_path: Path) -> None:
    options, words = foreign.options("bert"), foreign.tokenizer("bert")
    named = built(options, words.vocab_size, task="sst2").named_parameters()
    made = Model(options, {n: torch.full(p.shape, 0.5) for n, p in named}, words, "sst2")
    (found,) = run_ranks(from_sst2, 1, own.write(tmp_path, made))
    assert bool((found["pooler.weight"] == 0.5).all())
    assert not bool((found["classification_head.dense.weight"] == 0.5).any())


def test_fates_are_told_and_a_wrong_shape_is_named(source: tuple[Path, Model]) -> None:
    checkpoint, made = source
    saved, table = saved_weights(checkpoint), made.table()
    shapes = {name: list(of_it.shape) for name, of_it in saved.items()}
    shapes["layers.3.mlp.norm.bias"] = shapes.pop("layers.2.mlp.norm.bias")
    found = fates(shapes, table, saved, made.vocab_size, "there")
    assert (found.drawn, found.left) == (["layers.3.mlp.norm.bias"], ["layers.2.mlp.norm.bias"])
    assert len(found.taken) == len(saved) - 1
    for name, shape in (
        ("final_norm.weight", [31]),
        ("position_embeddings", [foreign.SEQ + 1, 32]),
    ):
        with pytest.raises(
            HydratronError, match=rf"init_from=there: {name} is .* there and .* here"
        ):
            fates(shapes | {name: shape}, table, saved, made.vocab_size, "there")
    with pytest.raises(HydratronError, match=r"word_embeddings\.weight is"):
        fates(shapes | {"word_embeddings.weight": [512, 32]}, table, saved, 400, "there")
