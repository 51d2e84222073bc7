"""The SPMD way of Mesh-TensorFlow (paper, section 2.3): one program on tensors that are spread.

The network is the one that a single process runs.  Every rank runs it on DTensors, of which it
holds its part, and DTensor finds out what must be sent.  Where parameters are split the ParamSpec
table says; where what flows between the layers must be whole again a region says.

What a rank keeps are the same parts under the same names as with explicit operators, so that
initial weights, gradients, optimizer and checkpoint know nothing of this.

Shapes: b batch, s sequence, n tokens, h hidden, V padded vocabulary, t group size.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard
from torch.distributed.tensor.experimental import implicit_replication
from torch.distributed.tensor.parallel import loss_parallel
from torch.func import functional_call
from torch.nn import functional as F

from hydratron.parallel.layers import Device
from hydratron.parallel.mesh import SINGLE, ParallelGroup
from hydratron.parallel.regions import to_compute_type
from hydratron.parallel.sharding import ParamTable, share


@contextmanager
def whole_batches() -> Iterator[None]:
    """What is no DTensor, a batch above all, is the same on every rank; not to be nested."""
    with warnings.catch_warnings():
        # It is what this means.
        warnings.filterwarnings("ignore", message="Found a non-scalar tensor with numel=1")
        # On CPUs it draws from the default generators, which `RandomStreams` seeds for that.
        warnings.filterwarnings("ignore", message="DTensor random operators may not have complete")
        with implicit_replication():
            yield


class SpmdRegion:
    """Says where what flows between the blocks lies; that of a group of one, to a layer.

    In between x is whole on every rank, or with `in_sequence` split by tokens, [b, s, ...].
    """

    def __init__(self, in_sequence: bool) -> None:
        self.between: Placement = Shard(1) if in_sequence else Replicate()

    @property
    def group(self) -> ParallelGroup:
        return SINGLE

    def enter(self, x: Tensor) -> Tensor:
        return _placed(to_compute_type(x), Replicate())

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.linear(self.enter(x), weight, bias)

    def leave(self, x: Tensor) -> Tensor:
        return _placed(x, self.between)

    def split(self, x: Tensor) -> Tensor:
        return _placed(x, self.between)

    def join(self, x: Tensor) -> Tensor:
        return _placed(x, Replicate())


def _placed(x: Tensor, placement: Placement) -> Tensor:
    assert isinstance(x, DTensor)
    return x.redistribute(placements=[placement])


def keep_parts(network: nn.Module, table: ParamTable, group: ParallelGroup, device: Device) -> None:
    """Give a whole network without memory this rank's part of every parameter, empty."""
    for name, whole in list(network.named_parameters()):
        dim, shape = table[name].shard_dim, list(whole.shape)
        if dim is not None:
            shape[dim] = share(shape[dim], group.size, name)
        module, _, own = name.rpartition(".")
        part = nn.Parameter(torch.empty(shape, dtype=whole.dtype, device=device))
        setattr(network.get_submodule(module), own, part)


class _Call(nn.Module):
    """Lets `functional_call` reach whatever of a network a function calls."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, function: Callable[[Any], Tensor]) -> Tensor:
        return function(self.network)


def as_one(
    function: Callable[[Any], Tensor], network: nn.Module, table: ParamTable, mesh: DeviceMesh
) -> Tensor:
    """function(network) with the parameters of all ranks of `mesh`, whole on each of them.

    Its gradients come back as those of the rank's parts.  To be called, as its backward pass,
    inside of `whole_batches`.
    """
    parameters: dict[str, Tensor] = {
        f"network.{name}": DTensor.from_local(
            part, mesh, [_placement(table[name].shard_dim)], run_check=False
        )
        for name, part in network.named_parameters()
    }
    found = functional_call(_Call(network), parameters, (function,))
    assert isinstance(found, DTensor)
    return found.full_tensor()


def _placement(shard_dim: int | None) -> Placement:
    return Replicate() if shard_dim is None else Shard(shard_dim)


def spmd_linear_loss(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    group: ParallelGroup,
    chunk_tokens: int,
    bias: Tensor | None = None,
) -> Tensor:
    """What `vocab_parallel_linear_loss` is, by torch's `loss_parallel`; the arguments are those.

    All logits [n, V / t] are held at a time, whatever `chunk_tokens`.
    """
    total: Tensor = _LinearLoss.apply(hidden, weight, bias, targets, torch.is_grad_enabled())
    return total


class _LinearLoss(torch.autograd.Function):
    """Its gradients are made in the forward pass, since `loss_parallel` must be on for both."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        with_gradient: bool,
    ) -> Tensor:
        given = [None if x is None else x.detach() for x in (hidden, weight, bias)]
        wanted = [x.requires_grad_() for x in given if x is not None]
        with torch.set_grad_enabled(with_gradient), loss_parallel():
            logits = F.linear(*given).float()  # type: ignore[arg-type]
            total = F.cross_entropy(logits, targets, reduction="sum", ignore_index=-1)
            if with_gradient:
                gradients = torch.autograd.grad(total, wanted)
                ctx.save_for_backward(*gradients, *[None] * (3 - len(gradients)))
        return total.detach()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = (g if g is None else g * upstream.to(g.dtype) for g in ctx.saved_tensors)
        return *gradients, None, None
