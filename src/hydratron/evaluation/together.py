"""One rank decides what is computed next, and all compute it together.

For work whose course only one rank knows, such as a harness that asks one thing after another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist


class Together:
    """Functions by name that every rank of the open process group calls with the same arguments.

    The first rank calls `call` and at last `end`; all others are in `follow` meanwhile.  What is
    sent is pickled, between processes of one job.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]], device: torch.device) -> None:
        self._functions, self._device = functions, device

    def call(self, name: str, *arguments: Any) -> Any:
        """On the first rank: the function's result here, once all have it."""
        self._sent((name, arguments))
        return self._functions[name](*arguments)

    def end(self) -> None:
        """On the first rank: the others come back from `follow`."""
        self._sent(None)

    def follow(self) -> None:
        """On the other ranks: compute what the first one calls, until it ends."""
        while (asked := self._sent(None)) is not None:
            name, arguments = asked
            self._functions[name](*arguments)

    def _sent(self, content: Any) -> Any:
        box = [content]
        if dist.get_world_size() > 1:
            dist.broadcast_object_list(box, src=0, device=self._device)
        return box[0]
