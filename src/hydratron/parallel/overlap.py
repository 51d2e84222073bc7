"""Gradients that are summed over replicas while backward still computes those of earlier layers.

As torch's DDP (Li et al. 2020, arXiv:2006.15704, section 3.2.3), without its wrapper: a hook on
each parameter fills buckets in the order in which backward finishes gradients, and a full one is
sent at once.  Only groups that a backend of torch serves do that; the ranks of one host that share
memory sum it up themselves, with the cores that backward needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hydratron.parallel import gradients
from hydratron.parallel.mesh import ParallelGroup, Pending
from hydratron.parallel.sharding import ParamTable


class _Sent(NamedTuple):
    work: Pending
    flat: Tensor
    names: list[str]


class OverlappedSum:
    """The sums of one network over one group; all ranks run the same backward.

    Between `begin` and `finish` each gradient is final when its hook runs.  The gradients
    themselves stay this rank's own until `finish` writes the sums.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], group: ParallelGroup) -> None:
        self.parameters, self.group = parameters, group
        self._active = False
        self._waiting: list[str] = []
        self._size = 0
        self._sent: list[_Sent] = []
        for name, parameter in parameters.items():
            parameter.register_post_accumulate_grad_hook(self._hook(name))

    @classmethod
    def of(
        cls, network: nn.Module, table: ParamTable, group: ParallelGroup
    ) -> OverlappedSum | None:
        """For what nothing else sums before; None where nothing can be sent beside backward."""
        if group.size == 1 or group.shared is not None:
            return None
        named = dict(network.named_parameters())
        return cls({n: p for n, p in named.items() if not table[n].summed}, group)

    def begin(self) -> None:
        """The backward that comes is the last one of this step."""
        self._active, self._waiting, self._size, self._sent = True, [], 0, []

    def finish(self) -> set[str]:
        """Send what is left, wait, and write the sums; the names of the gradients that are done.

        Raises what the backend does for a peer that is gone.
        """
        if not self._active:
            return set()
        self._active = False
        self._send()
        done: set[str] = set()
        for work, flat, names in self._sent:
            work.wait()
            parts = [self._gradient(name) for name in names]
            for gradient, part in zip(parts, flat.split([p.numel() for p in parts]), strict=True):
                gradient.copy_(part.view_as(gradient))
            done |= set(names)
        self._sent = []
        return done

    def _hook(self, name: str) -> Callable[[Tensor], None]:
        def ready(_: Tensor) -> None:
            if not self._active:
                return
            gradient = self._gradient(name)
            self._waiting.append(name)
            self._size += gradient.numel() * gradient.element_size()
            if self._size >= gradients.BUCKET_BYTES:
                self._send()

        return ready

    def _send(self) -> None:
        if not self._waiting:
            return
        names, self._waiting, self._size = self._waiting, [], 0
        flat = torch.cat([self._gradient(name).reshape(-1) for name in names])
        self._sent.append(_Sent(self.group.begin_all_reduce(flat), flat, names))

    def _gradient(self, name: str) -> Tensor:
        gradient = self.parameters[name].grad
        assert gradient is not None
        return gradient
