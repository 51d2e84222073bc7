"""The two random streams of tensor-parallel dropout (paper, appendix B.2), and recomputation.

Outside the parallel regions all ranks of a replica must drop the same elements: torch's default
generator, seeded alike.  Inside (attention probabilities) each rank holds other heads and must drop
others: a second state, swapped into the same generator, because fused kernels take no generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hydratron.parallel.mesh import SINGLE, ParallelGroup


def derived_seed(seed: int, *names: object) -> int:
    """A 63-bit seed from a seed and names: the same everywhere, for other names unrelated."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


class RandomStreams:
    """Seeds the default generator of `device` and keeps the tensor-parallel state beside it.

    Replicas (`data`) draw different masks, because they see different samples.  With `in_sequence`
    the ranks of a replica hold different tokens outside the regions too, and so the default
    generator differs between them as well; nothing may then be dropped that all of them hold.
    Stages (`pipeline`) draw different masks, because they have other layers; the first one's are
    seeded as those of a network in one piece, which draws on for the layers behind.
    """

    def __init__(
        self,
        seed: int,
        device: torch.device | str = "cpu",
        tensor: ParallelGroup = SINGLE,
        data: ParallelGroup = SINGLE,
        in_sequence: bool = False,
        pipeline: ParallelGroup = SINGLE,
    ) -> None:
        self.device = torch.device(device)
        self.in_sequence = in_sequence and tensor.size > 1
        stage = ("pipeline", pipeline.rank) if pipeline.rank else ()
        torch.manual_seed(derived_seed(seed, "tensor-parallel", data.rank, tensor.rank, *stage))
        self._inside = self._get()
        own = ("sequence-parallel", tensor.rank) if self.in_sequence else ()
        torch.manual_seed(derived_seed(seed, "default", data.rank, *own, *stage))

    @contextmanager
    def tensor_parallel(self) -> Iterator[None]:
        """Draw from the stream that differs between the ranks of a replica."""
        outside = self._get()
        self._set(self._inside)
        try:
            yield
        finally:
            self._inside = self._get()
            self._set(outside)

    def state(self) -> dict[str, Tensor]:
        """Both states as uint8 tensors, for a checkpoint."""
        return {"default": self._get(), "tensor_parallel": self._inside.clone()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from saved states; a stream that was not saved stays as it was seeded."""
        if "default" in state:
            self._set(state["default"])
        if "tensor_parallel" in state:
            self._inside = state["tensor_parallel"].clone()

    def recompute(self, function: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
        """function(*inputs), whose inner activations are computed again in backward.

        torch saves and restores the default generator; this does the same for the other stream.
        """
        before = self._inside.clone()

        @contextmanager
        def replay() -> Iterator[None]:
            now, self._inside = self._inside, before.clone()
            try:
                yield
            finally:
                self._inside = now

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), replay()

        result: Tensor = checkpoint(function, *inputs, use_reentrant=False, context_fn=contexts)
        return result

    def _get(self) -> Tensor:
        if self.device.type == "cuda":
            return torch.cuda.get_rng_state(self.device)
        return torch.get_rng_state()

    def _set(self, state: Tensor) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state, self.device)
        else:
            torch.set_rng_state(state)
