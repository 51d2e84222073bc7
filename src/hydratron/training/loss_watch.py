"""The training loss of every step, watched: spikes are counted, and divergence is told by rule."""

from __future__ import annotations

import math
from collections import deque
from statistics import median
from typing import Any

SHORT = 10  # steps


class LossWatch:
    """Sees the loss of one step after the other, in nats.

    A spike is a step, or several in a row, more than `spike_nats` above the median of the ten steps
    before it, or of the `window` where that is lower: while the loss falls the ten are closer to
    it, and a long spike has not yet raised the window's.  It is judged once ten steps are there.

    `diverged` says, once and for good, why the run counts as diverged: a loss or gradient norm that
    is not finite, or a median of the last `window` steps more than `diverged_nats` above the lowest
    such median before, which the first `window` steps do not have.
    """

    def __init__(self, window: int, spike_nats: float, diverged_nats: float) -> None:
        self.window, self.spike_nats, self.diverged_nats = window, spike_nats, diverged_nats
        self.spikes = 0
        self.diverged: str | None = None
        self._recent: deque[float] = deque(maxlen=window)
        self._lowest = math.inf
        self._in_spike = False

    def see(self, step: int, loss: float, broken: str | None = None) -> None:
        """The training loss of a step; `broken`: a number of it that is not finite."""
        if self.diverged:
            return
        if broken or not math.isfinite(loss):
            self.diverged = f"{broken or f'the loss is {loss}'} in step {step}"
            return
        last = [*self._recent][-SHORT:]
        if len(last) == min(SHORT, self.window):
            above = loss > min(median(last), median(self._recent)) + self.spike_nats
            self.spikes += above and not self._in_spike
            self._in_spike = above
        self._recent.append(loss)
        if len(self._recent) == self.window:
            now = median(self._recent)
            if now > self._lowest + self.diverged_nats:
                self.diverged = (
                    f"the median loss of {self.window} steps up to step {step} is {now:.3f}, "
                    f"the lowest was {self._lowest:.3f}"
                )
            self._lowest = min(self._lowest, now)

    def see_validation(self, step: int, loss: float) -> None:
        """The validation loss after a step, of which only that it is a number is judged."""
        if not (self.diverged or math.isfinite(loss)):
            self.diverged = f"the validation loss is {loss} after step {step}"

    def state(self) -> dict[str, Any]:
        """Plain JSON, from which `load_state` goes on."""
        return {
            "spikes": self.spikes,
            "recent": [*self._recent],
            "lowest": self._lowest if math.isfinite(self._lowest) else None,
            "in_spike": self._in_spike,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.spikes, self._in_spike = state["spikes"], state["in_spike"]
        self._recent.extend(state["recent"])
        self._lowest = math.inf if state["lowest"] is None else state["lowest"]
