"""What GPT and BERT share: a network in parts, and its normalisation function."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hydratron.models.bert import BertModel
from hydratron.models.language import LanguageModel
from hydratron.parallel.random import RandomStreams
from tests.helpers.tiny import LAYERS, tiny_batch, tiny_gpt
from tests.helpers.tiny_bert import tiny_answers, tiny_bert, tiny_inputs


def tiny(architecture: str, **changes: Any) -> LanguageModel:
    return (tiny_bert if architecture == "bert" else tiny_gpt)(**changes)


def loss_of(model: Any) -> Tensor:
    if isinstance(model, BertModel):
        losses = model.loss(**tiny_inputs(), **tiny_answers())
        return losses.mlm + losses.sop
    loss: Tensor = model.loss(*tiny_batch())
    return loss


def stages(whole: LanguageModel) -> list[LanguageModel]:
    """One network for each layer, with the weights of the whole."""
    weights = whole.state_dict()
    parts = []
    for number in range(LAYERS):
        part = type(whole)(whole.shape, RandomStreams(1), layers=range(number, number + 1))
        part.load_state_dict({name: weights[name] for name in part.state_dict()})
        parts.append(part)
    return parts


def names(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("architecture", ["gpt", "bert"])
def test_stages_are_the_whole_network(architecture: str, placement: str) -> None:
    whole = tiny(architecture, placement=placement)
    first, last = stages(whole)
    assert names(first) | names(last) == names(whole)
    assert names(first) & names(last) == {"word_embeddings.weight"}
    inputs = tiny_inputs() if architecture == "bert" else {"tokens": tiny_batch()[0]}
    x, mask = first.embed(inputs["tokens"]), None
    if architecture == "bert":
        types = first.get_parameter("tokentype_embeddings")
        x = x + F.embedding(inputs["tokentype_ids"], types)
        mask = inputs["padding_mask"].bool()[:, None, None, :]
    between = first.through(first.begin(x), mask)
    assert torch.equal(last.end(last.through(between, mask)), whole(**inputs))


def test_a_stage_in_between_has_nothing_but_layers() -> None:
    whole = tiny_gpt(num_layers=3)
    part = type(whole)(whole.shape, RandomStreams(1), layers=[1])
    assert {name.split(".")[0] for name in names(part)} == {"layers"}
    assert names(part) < names(whole)


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("architecture", ["gpt", "bert"])
def test_rmsnorm_has_no_bias_and_trains(architecture: str, placement: str) -> None:
    model = tiny(architecture, norm="rmsnorm", placement=placement, norm_eps=1e-3)
    norms = {n: m for n, m in model.named_modules() if isinstance(m, nn.RMSNorm)}
    assert len(norms) == 2 * LAYERS + (2 if architecture == "bert" else 1)
    x = torch.randn(3, model.shape.hidden_size, generator=torch.Generator().manual_seed(0))
    assert not [n for n in names(model) if n.endswith("norm.bias")]
    for name, norm in norms.items():
        assert [part for part, _ in norm.named_parameters()] == ["weight"], name
        weight = norm.get_parameter("weight")
        expected = x / (x.square().mean(dim=-1, keepdim=True) + 1e-3).sqrt() * weight
        torch.testing.assert_close(norm(x), expected, msg=name)
        assert torch.equal(norm(x), F.rms_norm(x, x.shape[-1:], weight, 1e-3)), name
    loss_of(model).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
