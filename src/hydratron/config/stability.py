"""The options of the rules by which a run is unstable."""

from __future__ import annotations

from dataclasses import dataclass

from hydratron.config.option import option


@dataclass
class StabilityConfig:
    """What is measured of a run that may break, and the rule, fixed beforehand, for one that did.

    A run has diverged when its loss or gradient norm is not finite, or when the median training
    loss of the last `window` steps lies `diverged_nats` above the lowest such median before.
    Spikes are counted from the eleventh step on, divergence is judged once the window is full.
    """

    window: int = option(50, "optimizer steps of the median training loss", minimum=2)
    spike_nats: float = option(
        0.5,
        "a step whose loss is this far above the median of the ten steps before it, or of the "
        "window where that is lower, is a spike",
        above=0,
    )
    diverged_nats: float = option(
        2.0, "a median this far above the lowest one ends the job as diverged", above=0
    )
    layers_every_n_steps: int = option(
        0, "optimizer steps between rows of each layer's norms; 0: none", minimum=0
    )
