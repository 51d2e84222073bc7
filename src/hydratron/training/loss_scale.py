"""fp16's dynamic loss scale, as Megatron-LM's.

Gradients that fp16 would round to zero are kept by multiplying the loss; one that it cannot hold
comes out as inf or NaN, and its step is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from hydratron.config.trainer import LossScaleConfig

# Where every gradient is zero it would double for ever.
LARGEST = 2.0**64


class LossScale:
    """The `value` by which losses are multiplied, and how many steps were `skipped` so far.

    `window` steps in a row without an overflow double it.  An overflow of the gradients spends one
    of `hysteresis` credits, and halves it once none is left; doubling restores them.  A loss that
    is not finite is the forward pass's, which the scale does not touch: it stays.  Elsewhere than
    in fp16 (not `used`) it keeps the count alone, which the learning rate needs.
    """

    def __init__(self, options: LossScaleConfig, used: bool = True) -> None:
        self.options, self.used = options, used
        self.value = options.initial
        self.skipped = 0
        self._clean = self._in_a_row = 0
        self._credits = options.hysteresis

    def apply(self, losses: Tensor) -> Tensor:
        """Have the gradients of `losses` multiplied; the losses stay what they are."""
        if losses.requires_grad:
            value = self.value
            losses.register_hook(lambda gradient: gradient * value)
        return losses

    def unscale(self, gradients: Iterable[Tensor]) -> None:
        """Divide the gradients by the value, in place: exactly, where it is a power of two."""
        if found := [*gradients]:
            torch._foreach_mul_(found, 1.0 / self.value)

    def see(self, loss_is_finite: bool, gradients_are_finite: bool) -> str | None:
        """Take in how a step came out; says why none may be skipped any more, where it is so."""
        options = self.options
        if loss_is_finite and gradients_are_finite:
            self._in_a_row, self._clean = 0, self._clean + 1
            if self._clean >= options.window:
                self._clean, self._credits = 0, options.hysteresis
                self.value = min(2.0 * self.value, LARGEST)
            return None
        if self._in_a_row >= options.max_skips:
            return f"after {self._in_a_row} skipped steps in a row"
        if loss_is_finite:
            self._credits -= 1
            if self._credits <= 0:
                if self.value <= options.minimum:
                    return f"at loss scale {self.value:g}, the smallest"
                self.value = max(self.value / 2.0, options.minimum)
        self._clean = 0
        self._in_a_row += 1
        self.skipped += 1
        return None

    def state(self) -> dict[str, Any]:
        """A participant of the checkpoint."""
        own = {
            "value": self.value,
            "clean": self._clean,
            "in_a_row": self._in_a_row,
            "credits": self._credits,
        }
        return {"skipped": self.skipped, **(own if self.used else {})}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on; from a run that was not in fp16, with the initial value."""
        self.skipped = state.get("skipped", 0)
        if "value" in state:
            self.value = max(state["value"], self.options.minimum)
            self._clean, self._in_a_row = state["clean"], state["in_a_row"]
            self._credits = min(state["credits"], self.options.hysteresis)
