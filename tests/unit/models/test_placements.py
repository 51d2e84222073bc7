"""LayerNorm placements: the paper's relabelling identity, the published constants, one's own."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hydratron.config.folders import conf_dir
from hydratron.config.keys import options
from hydratron.models.gpt import GPTModel, gpt_parameters
from hydratron.models.init import initialize
from hydratron.models.placements import PLACEMENTS, Placement
from hydratron.models.transformer import Residual
from hydratron.parallel.mesh import SINGLE
from tests.helpers.tiny import HEADS, HIDDEN, LAYERS, TINY, VOCAB, tiny_batch, tiny_gpt
from tests.helpers.tiny_bert import tiny_bert, tiny_inputs


def flagged(
    x: Tensor,
    sublayers: list[Callable[[Tensor], Tensor]],
    norms: list[nn.Module],
    residual_from_norm: bool,
) -> Tensor:
    """Megatron-LM's network: a LayerNorm before every sublayer and a last one at the end.

    Its flag takes the residual from the LayerNorm's output instead of its input.
    """
    *before, last = norms
    for sublayer, norm in zip(sublayers, before, strict=True):
        y = norm(x)
        x = sublayer(y) + (y if residual_from_norm else x)
    hidden: Tensor = last(x)
    return hidden


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("placement", ["post", "pre"])
@pytest.mark.parametrize("bert", [True, False])
def test_the_flag_of_megatron_is_the_placement(
    bert: bool, placement: str, dtype: torch.dtype
) -> None:
    model = (tiny_bert if bert else tiny_gpt)(placement=placement).to(dtype)
    inputs = tiny_inputs() if bert else {"tokens": tiny_batch()[0]}
    mask = inputs["padding_mask"].bool()[:, None, None, :] if bert else None
    x = model.embed(inputs["tokens"])
    if bert:
        x = x + model.get_parameter("tokentype_embeddings")[inputs["tokentype_ids"]]
    sublayers: list[Callable[[Tensor], Tensor]] = []
    norms = []
    for i in range(LAYERS):
        attention = model.get_submodule(f"layers.{i}.attention.sublayer")
        sublayers.append(lambda y, attend=attention: attend(y, mask))  # type: ignore[misc]
        sublayers.append(model.get_submodule(f"layers.{i}.mlp.sublayer"))
        norms.append(model.get_submodule(f"layers.{i}.attention.norm"))
        norms.append(model.get_submodule(f"layers.{i}.mlp.norm"))
    # Relabelled: post's embedding LayerNorm is the flag's first one, its last one the final one.
    post = placement == "post"
    norms = [model.embedding_norm, *norms] if post else [*norms, model.final_norm]
    expected = flagged(x, sublayers, norms, residual_from_norm=post)
    assert torch.equal(model(**inputs), expected)
    assert not torch.equal(flagged(x, sublayers, norms, residual_from_norm=not post), expected)


def line(placement: str, scale: float | None = None, depth: int = 8) -> tuple[Residual, Tensor]:
    """A residual line with a sublayer 3 x and LayerNorms that add 1, 2, ..., and an input."""
    shape = replace(
        TINY, num_layers=depth, hidden_size=4, placement=placement, residual_scale=scale
    )
    sublayer = nn.Linear(4, 4, bias=False)
    nn.init.eye_(sublayer.weight).data.mul_(3)
    residual = Residual(sublayer, shape, None).double()
    for number, name in enumerate(residual.norm_names, start=1):
        nn.init.constant_(residual.get_parameter(f"{name}.bias"), number)
    return residual, torch.tensor([1.0, 2.0, -1.0, 5.0], dtype=torch.float64)


def plain(x: Tensor) -> Tensor:
    return (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()


@pytest.mark.parametrize(
    ("placement", "formula"),
    [
        ("pre", lambda x: x + 3 * (plain(x) + 1)),
        ("post", lambda x: plain(x + 3 * x) + 1),
        ("deepnorm", lambda x: plain(2 * x + 3 * x) + 1),  # alpha = (2 * 8)^(1/4) = 2
        ("sandwich", lambda x: x + plain(3 * (plain(x) + 1)) + 2),
    ],
)
def test_each_line_is_its_formula(placement: str, formula: Callable[[Tensor], Tensor]) -> None:
    residual, x = line(placement)
    torch.testing.assert_close(residual(x), formula(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("placement", ["pre", "sandwich"])
def test_a_stated_scale_stands_for_the_formula(placement: str) -> None:
    (residual, x), (half, _) = line(placement), line(placement, 0.5)
    torch.testing.assert_close(residual(x) - half(x), 0.5 * x)


def test_the_scale_reaches_the_layers() -> None:
    def scales(**changes: Any) -> set[float]:
        model = tiny_gpt(**changes)
        return {m.scale for m in model.modules() if isinstance(m, Residual)}

    assert scales(placement="post") == scales(placement="sandwich") == {1.0}
    assert scales(placement="deepnorm", num_layers=8) == {2.0}
    assert scales(placement="deepnorm", residual_scale=1.5) == {1.5}


def test_deepnorm_draws_values_outputs_and_mlp_smaller() -> None:
    # L = 2 and 32: beta = (8 L)^(-1/4) = 1/2 and 1/4
    for depth, beta in ((2, 0.5), (32, 0.25)):
        table = gpt_parameters(replace(TINY, num_layers=depth, placement="deepnorm"), 0.2)
        for name in ("attention.sublayer.dense", "mlp.sublayer.dense_4h_to_h"):
            assert table[f"layers.0.{name}.weight"].std == pytest.approx(0.2 * beta)
        assert table["layers.0.mlp.sublayer.dense_h_to_4h.weight"].std == pytest.approx(0.2 * beta)
        assert table["word_embeddings.weight"].std == 0.2
        qkv = table["layers.0.attention.sublayer.query_key_value.weight"]
        assert qkv.row_scales == pytest.approx((1.0,) * 8 + (beta,) * 4)


@pytest.mark.parametrize("placement", ["pre", "post", "sandwich"])
def test_outputs_start_smaller_by_the_depth(placement: str) -> None:
    table = gpt_parameters(replace(TINY, num_layers=8, placement=placement), 0.2)
    assert table["layers.3.attention.sublayer.dense.weight"].std == pytest.approx(0.05)
    assert table["layers.3.mlp.sublayer.dense_h_to_4h.weight"].std == 0.2
    assert table["layers.3.attention.sublayer.query_key_value.weight"].row_scales == ()


def test_the_rows_of_the_values_are_drawn_smaller_and_no_others() -> None:
    drawn = {}
    for placement in ("post", "deepnorm"):
        model = tiny_gpt(placement=placement)
        weight = model.get_parameter("layers.0.attention.sublayer.query_key_value.weight")
        drawn[placement] = weight.detach().view(HEADS, 3, HIDDEN // HEADS, HIDDEN)
    beta = math.pow(8 * LAYERS, -0.25)
    assert torch.equal(drawn["deepnorm"][:, :2], drawn["post"][:, :2])
    torch.testing.assert_close(drawn["deepnorm"][:, 2], beta * drawn["post"][:, 2])


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_outer_norm_stands_where_the_placement_says(placement: str) -> None:
    outer = {n.split(".")[0] for n, _ in tiny_gpt(placement=placement).named_parameters()}
    expected = "final_norm" if placement in ("pre", "sandwich") else "embedding_norm"
    assert outer & {"final_norm", "embedding_norm"} == {expected}


def test_every_placement_is_a_choice_and_has_a_file() -> None:
    choices = options()["model.layernorm.placement"].bounds["choices"]
    files = {file.stem for file in (conf_dir() / "layernorm").glob("*.yaml")}
    assert set(choices) == set(PLACEMENTS) == files


def test_the_names_cost_no_torch() -> None:
    code = "import sys, hydratron.config.schema; print('torch' in sys.modules)"
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_variant_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its LayerNorms, their names and the initial weights follow from the row alone."""

    def both(x: Tensor, sublayer: Any, scale: float, norm: Any, norm2: Any, norm3: Any) -> Tensor:
        line: Tensor = norm3(norm2(sublayer(norm(x))).add(x, alpha=scale))
        return line

    placed = Placement(
        both, outer_norm="embedding", norms=3, residual_scale=lambda depth: 1 / depth
    )
    monkeypatch.setitem(PLACEMENTS, "both", placed)
    model = tiny_gpt(placement="both")
    assert isinstance(model, GPTModel)
    assert sum(name.endswith("norm3.weight") for name, _ in model.named_parameters()) == 2 * LAYERS
    line = model.get_submodule("layers.0.attention")
    assert isinstance(line, Residual)
    assert line.scale == 1 / LAYERS
    initialize(model, gpt_parameters(model.shape, 0.2), 1, SINGLE, VOCAB)
    assert torch.equal(model.get_parameter("layers.1.mlp.norm3.weight"), torch.ones(HIDDEN))
    model.loss(*tiny_batch()).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
