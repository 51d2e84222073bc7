"""Numbers and labels as people read them, the same in the terminal and on the page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MISSING = "–"
LONG = 24  # characters, from which on a path is shortened
UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def count(value: float | None) -> str:
    """Three digits and a unit: 1781234 -> 1.78M."""
    if value is None or not math.isfinite(value):
        return MISSING
    for size, unit in UNITS:
        # 999,600 would round to 1000k, so it moves up to the next unit.
        if abs(value) >= size * 0.9995:
            return f"{_three(value / size)}{unit}"
    return _three(value)


def loss(value: float | None) -> str:
    """Four decimals, where runs begin to differ by more than noise."""
    return MISSING if value is None or math.isnan(value) else f"{value:.4f}"


def decimal(value: float | None) -> str:
    """One decimal, or a power of ten when there would be more than six digits."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:.1f}" if abs(value) < 1e6 else f"{value:.1e}"


def rate(value: float) -> str:
    """A learning rate as it is written in a paper: 0.001 -> 1e-3."""
    mantissa, exponent = f"{value:e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def gap(value: float) -> str:
    """A difference to two digits: 6.2e-7, and 0 for none."""
    return rate(float(f"{value:.1e}")) if value else "0"


def setting(value: Any) -> str:
    """A configuration value as it would be typed: null, true, 0.1, a list in brackets."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return "[" + ", ".join(setting(v) for v in value) + "]"
    return str(value)


def signed(value: float) -> str:
    """A difference of losses with its sign: +0.1230, and +2.1e-05 below a thousandth."""
    return f"{value:+.1e}" if 0 < abs(value) < 1e-3 else f"{value:+.4f}"


def settings(values: Sequence[Any]) -> list[str]:
    """Distinct values as `setting` writes them; with all their digits where they read alike.

    Of long paths only the ends, as many folders as tell them apart.
    """
    short = [setting(value) for value in values]
    if any(len(text) > LONG and "/" in text for text in short):
        short = _ends(short)
    return short if len(set(short)) == len(short) else [json.dumps(value) for value in values]


def _ends(paths: Sequence[str]) -> list[str]:
    """`.../runs/a`, `.../runs/b` -> `a`, `b`."""
    parts = [path.rstrip("/").split("/") for path in paths]
    for kept in range(1, max(map(len, parts))):
        ends = ["/".join(one[-kept:]) for one in parts]
        if len(set(ends)) == len(ends):
            return ends
    return list(paths)


def cell(value: Any) -> Any:
    """A configuration value in a CSV: numbers and texts as they are, the rest as it is typed."""
    return setting(value) if isinstance(value, list | bool) else value


def share(value: float | None) -> str:
    """A part of one as a percentage: 0.3412 -> 34.1 %."""
    return MISSING if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def gib(value: float | None) -> str:
    """Bytes in GiB: 435159040 -> 0.405 GiB."""
    return MISSING if value is None else f"{value / 2**30:.3g} GiB"


def general(value: float | None) -> str:
    """Four digits, for numbers of any size."""
    return MISSING if value is None or math.isnan(value) else f"{value:.4g}"


@dataclass(frozen=True)
class Format:
    """How one kind of number is written: on the page's axes and when pointed at, both as d3
    formats, and as a text.  Charts are in multiples of `scale`, which have the name `unit`."""

    ticks: str
    hover: str
    text: Callable[[float | None], str]
    scale: float = 1.0
    unit: str = ""


GENERAL = Format("~g", ".4~g", general)
LOSS = Format("~g", ".4f", loss)
DECIMAL = Format("~s", ".4~g", decimal)
COUNT = Format("~s", ".4~s", count)
GIB = Format("~g", ".3~g", gib, 2.0**30, "GiB")
SHARE = Format(".2~%", ".3~%", share)


def _three(value: float) -> str:
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, 3 - whole)}f}"
