"""The optimizers of `optim.name`.  One more is a row here and a file in `conf/optim/`.

Any of torch's fits that treats each element by itself: a rank holds a slice of a parameter, so one
that looks at whole matrices or norms would depend on the parallel degree.  Needs no torch, because
the schema reads the names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydratron.config.schema import OptimConfig


@dataclass(frozen=True)
class Optimizer:
    """`kind`: a class of torch.optim; `arguments`: its keywords but for `lr` and `weight_decay`."""

    kind: str
    arguments: Callable[[OptimConfig], dict[str, Any]]


def moments(optim: OptimConfig) -> dict[str, Any]:
    """Of Adam and its kin, in one kernel for all parameters."""
    return {"betas": (optim.beta1, optim.beta2), "eps": optim.eps, "fused": True}


def momentum(optim: OptimConfig) -> dict[str, Any]:
    return {"momentum": optim.momentum, "fused": True}


OPTIMIZERS: dict[str, Optimizer] = {
    "adamw": Optimizer("AdamW", moments),
    "adam": Optimizer("Adam", moments),
    "sgd": Optimizer("SGD", momentum),
}
