"""The house's colours, of page and figures alike: some names have one of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Lightness falls from the first to the last; the least distance of any two holds for the common
# colour vision deficiencies too (OKLab 0.12 and more).
LIGHT = ("#df8600", "#0b9db8", "#b33f0b", "#2a55d0", "#75386b", "#25074f")
DARK = ("#f6d64a", "#2fd3dc", "#ee8059", "#729cf1", "#b0627f", "#6360ea")
# The first three are those that are farthest apart.
MODELS = {"pico": 0, "nano": 1, "micro": 5, "mini": 3, "small": 2}
PLACEMENTS = {"post": 0, "pre": 3, "deepnorm": 1, "sandwich": 4}
OWN = MODELS | PLACEMENTS
"""The place of a colour in LIGHT and DARK, by a placement or the last part of a model's name."""
# How many of the six colours: for any number of values those that are farthest apart.
SPREAD = ((3,), (0, 5), (0, 1, 5), (0, 1, 2, 5), (0, 1, 2, 4, 5), (0, 1, 2, 3, 4, 5))
# More numbers than this are read as a scale.
FEW_NUMBERS = 3
# Lightness falls all the way in both, which every kind of colour vision sees.
RAMPS = {
    "light": ("#dd9a00", "#e0641f", "#c0285f", "#7b2391", "#3c1a86", "#170a3d"),
    "dark": ("#fbe98a", "#fbb04c", "#f4806a", "#d264a6", "#9a63d6", "#5d63e6"),
}


def own_colours(names: Sequence[str]) -> list[int] | None:
    """The places of the names' own colours; None where one has none or two have the same."""
    places = [OWN.get(name.rsplit("_", 1)[-1]) for name in names]
    known = [place for place in places if place is not None]
    return known if len(set(known)) == len(names) else None


def on_white(names: Sequence[str]) -> list[str]:
    """A `#rrggbb` for each name in order, as the page has it in its light scheme."""
    places = own_colours(names) or (SPREAD[len(names) - 1] if len(names) <= len(SPREAD) else None)
    return [LIGHT[place] for place in places] if places else _ramp(RAMPS["light"], len(names))


def palette(names: Sequence[str], *, scale: bool = False) -> tuple[str, ...]:
    """A CSS colour for each name in order; a scale, or too many of them, get a ramp."""
    count = len(names)
    if (own := own_colours(names)) is not None:
        return tuple(f"var(--c{place})" for place in own)
    if count <= len(SPREAD) and not (scale and count > FEW_NUMBERS):
        return tuple(f"var(--c{place})" for place in SPREAD[count - 1])
    light, dark = (_ramp(RAMPS[scheme], count) for scheme in ("light", "dark"))
    return tuple(map(_both, light, dark))


def css() -> str:
    """The variables --c0 to --c5 of the page's style."""
    both = map(_both, LIGHT, DARK)
    return "\n".join(f"  --c{place}: {colour};" for place, colour in enumerate(both))


def _both(light: str, dark: str) -> str:
    return f"light-dark({light}, {dark})"


def _ramp(stops: Sequence[str], count: int) -> list[str]:
    """Evenly spaced colours between the stops, `#rrggbb`."""
    channels = np.array([[int(s[i : i + 2], 16) for i in (1, 3, 5)] for s in stops], dtype=float)
    at, known = np.linspace(0, 1, count), np.linspace(0, 1, len(stops))
    mixed = np.column_stack([np.interp(at, known, channels[:, i]) for i in range(3)])
    return ["#" + "".join(f"{round(c):02x}" for c in row) for row in mixed.tolist()]
