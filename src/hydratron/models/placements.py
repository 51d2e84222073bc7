"""Where LayerNorm stands in a residual line: every value of `model.layernorm.placement`.

A variant is one function and one row of `PLACEMENTS`; all that depends on it (LayerNorms and their
parameters, initial weights, the choices of the option) follows from that row.  Needs no torch at
run time, because the schema reads the names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Function = Callable[["Tensor"], "Tensor"]


@dataclass(frozen=True)
class InitialStds:
    """Standard deviations of a layer's weights that a variant may choose; all others: `init_std`.

    value:  the rows of `query_key_value` that make the values.
    inner:  the MLP's first matrix, h -> f.
    output: the two matrices that write into the residual stream.
    """

    value: float
    inner: float
    output: float


def scaled_outputs(depth: int, std: float) -> InitialStds:
    """What the residual stream receives starts smaller by sqrt(2 L) (paper, section 4.2)."""
    return InitialStds(value=std, inner=std, output=std / math.sqrt(2 * depth))


def one(depth: int) -> float:
    """The residual stream as it is."""
    return 1.0


@dataclass(frozen=True)
class Placement:
    """What a placement of LayerNorm is.

    residual:       (x, sublayer, scale, norm, ...) -> x [b, s, h], one residual line, with `norms`
                    LayerNorms and `scale` on the residual stream.
    outer_norm:     where the one LayerNorm outside the layers stands.
    norms:          LayerNorms of each residual line; they are named norm, norm2, ...
    residual_scale: the scale as a function of the number of layers.
    initial_stds:   initial weights, from the number of layers and `model.init_std`.
    """

    residual: Callable[..., Tensor]
    outer_norm: Literal["embedding", "end"]
    norms: int = 1
    residual_scale: Callable[[int], float] = one
    initial_stds: Callable[[int, float], InitialStds] = scaled_outputs


def pre(x: Tensor, sublayer: Function, scale: float, norm: Function) -> Tensor:
    """x + f(LN(x)): the paper's rearrangement (Figure 7b), and GPT-2's block."""
    return sublayer(norm(x)).add(x, alpha=scale)


def post(x: Tensor, sublayer: Function, scale: float, norm: Function) -> Tensor:
    """LN(x + f(x)): the original transformer's and BERT's block (Figure 7a)."""
    return norm(sublayer(x).add(x, alpha=scale))


def sandwich(
    x: Tensor, sublayer: Function, scale: float, norm: Function, norm2: Function
) -> Tensor:
    """x + LN2(f(LN(x))): no sublayer adds more than a LayerNorm lets through.

    Ding et al. 2021, CogView (arXiv:2105.13290).
    """
    return norm2(sublayer(norm(x))).add(x, alpha=scale)


def deepnorm_scale(depth: int) -> float:
    """alpha = (2 L)^(1/4), of an encoder and of a decoder alone.

    Wang et al. 2022, DeepNet (arXiv:2203.00555), Figure 2.
    """
    return math.pow(2 * depth, 0.25)


def deepnorm_stds(depth: int, std: float) -> InitialStds:
    """beta = (8 L)^(-1/4) on values, outputs and both matrices of the MLP (same Figure 2).

    There beta is the gain of Xavier's initial weights; here it scales `std`, as the other
    placements do, and takes the place of 1 / sqrt(2 L).
    """
    small = std * math.pow(8 * depth, -0.25)
    return InitialStds(value=small, inner=small, output=small)


PLACEMENTS: dict[str, Placement] = {
    "pre": Placement(pre, outer_norm="end"),
    "post": Placement(post, outer_norm="embedding"),
    "deepnorm": Placement(
        post,
        outer_norm="embedding",
        residual_scale=deepnorm_scale,
        initial_stds=deepnorm_stds,
    ),
    "sandwich": Placement(sandwich, outer_norm="end", norms=2),
}
