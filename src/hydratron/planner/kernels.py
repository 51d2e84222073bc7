"""The kernels that a GPU would choose, where tensors that live on no GPU choose others."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import flop_registry

from hydratron.planner.internals import FLASH, FLASH_BACKWARD


class AcceleratorKernels(TorchFunctionMode):
    """Attention that holds no scores, also with dropout, and dropout with a mask of one byte.

    On a CPU, attention with dropout holds all scores, and a mask has the type of its input.
    `chosen` is how many places `nonzero` finds, which without data nobody knows.
    """

    def __init__(self, chosen: int = 0) -> None:
        super().__init__()
        self.chosen = chosen

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        options = kwargs or {}
        if function is F.scaled_dot_product_attention:
            return _attention(*args, **options)
        if function is F.dropout:
            return _dropout(*args, **options)
        if function is torch.Tensor.nonzero:
            return torch.zeros(self.chosen, args[0].dim(), dtype=torch.int64)
        return function(*args, **options)


def _attention(
    q: Any, k: Any, v: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False
) -> Any:
    kind = q.device.type
    if torch.is_autocast_enabled(kind):
        q, k, v = (x.to(torch.get_autocast_dtype(kind)) for x in (q, k, v))
    if attn_mask is not None:
        # As fused kernels take it: what is added to the scores.
        b, _, s, _ = q.shape
        attn_mask = torch.zeros_like(attn_mask, dtype=q.dtype).expand(b, 1, s, s)
    return FLASH.default(q, k, v, dropout_p, is_causal, attn_mask=attn_mask)[0]


def _dropout(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    return torch.native_dropout(x, p, training)[0] if training and p else x


def flops(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Of one call, a multiply-add as two; 0 for what is not a matrix product.

    Fused attention counts as the products of the plain one, twice as many in backward; that its
    backward forms the scores a second time is left out, as is usual.
    """
    # addmm_ is addmm: in place or not, the arithmetic is the same.
    packet = getattr(torch.ops.aten, function.overloadpacket.__name__.rstrip("_"))
    if packet in (FLASH, FLASH_BACKWARD):
        q = args[0] if packet is FLASH else args[1]
        k = args[1] if packet is FLASH else args[2]
        return 4 * q.numel() * k.shape[-2] * (1 if packet is FLASH else 2)
    count = flop_registry.get(packet)
    return int(count(*args, **kwargs, out_val=result)) if count else 0
