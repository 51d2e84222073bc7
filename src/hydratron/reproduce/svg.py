"""A figure as SVG text: the same bytes everywhere, no script, light and dark, a few kilobytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from hydratron.reproduce.figure import Figure, Line, Panel

WIDTH, HEIGHT = 960, 430
LEFT, RIGHT, TOP, BOTTOM, GAP = 62, 16, 92, 52, 34
RIGHT_AXIS = 44
# The dashboard's palette: light, dark.
COLOURS = (
    ("#2a55d0", "#729cf1"),
    ("#df8600", "#f6d64a"),
    ("#0b9db8", "#2fd3dc"),
    ("#b33f0b", "#ee8059"),
    ("#75386b", "#b0627f"),
    ("#25074f", "#6360ea"),
)
INKS = {
    "paper": ("#ffffff", "#12141a"),
    "ink": ("#1b1d22", "#e9eaee"),
    "soft": ("#5c616b", "#a1a7b4"),
    "grid": ("#e4e5e8", "#2c313c"),
}


@dataclass(frozen=True)
class Axis:
    """A range of values and the pixels that they map to."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            return log_ticks(self.low, self.high)
        return linear_ticks(self.low, self.high)


def linear_ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round values inside the range, 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten inside the range; with less than two of them 1, 2 and 5 times those."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens = [10.0**p for p in powers if low <= 10.0**p <= high]
    if len(tens) >= 2:
        every = math.ceil(len(tens) / 8)
        return tens[::every]
    return [f * 10.0**p for p in powers for f in (1, 2, 5) if low <= f * 10.0**p <= high]


def number(value: float) -> str:
    """A tick's text: 2M, 0.5, 1e-6."""
    if value == 0:
        return "0"
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    if abs(value) < 1e-3:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:g}"


def svg(figure: Figure) -> str:
    """The whole document."""
    body = [_text(LEFT, 26, figure.title, "title")]
    total = sum(panel.width for panel in figure.panels)
    room = WIDTH - GAP * (len(figure.panels) - 1)
    left = 0.0
    for panel in figure.panels:
        width = room * panel.width / total
        body += _panel(panel, left, left + width)
        left += width + GAP
    lines = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escape(figure.title)}">\n<style>{_style()}</style>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" class="paper"/>\n{lines}\n</svg>\n'
    )


def _style() -> str:
    def theme(which: int) -> str:
        names = {name: pair[which] for name, pair in INKS.items()}
        colours = {f"c{i}": pair[which] for i, pair in enumerate(COLOURS)}
        return "".join(f"--{name}:{value};" for name, value in (names | colours).items())

    lines = "".join(f".c{i}{{--line:var(--c{i})}}" for i in range(len(COLOURS)))
    return (
        f"svg{{{theme(0)}font:12px system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif}}"
        f"@media(prefers-color-scheme:dark){{svg{{{theme(1)}}}}}"
        f"{lines}.paper{{fill:var(--paper)}}text{{fill:var(--soft)}}.title{{fill:var(--ink);"
        "font-size:16px;font-weight:600}.head{fill:var(--ink);font-weight:600}"
        ".end{text-anchor:end}.mid{text-anchor:middle}.grid{stroke:var(--grid)}"
        ".axis{stroke:var(--soft)}.line{stroke:var(--line);fill:none;stroke-width:1.8;"
        "stroke-linejoin:round}.dash{stroke-dasharray:6 4}.band{fill:var(--line);opacity:.18}"
        ".mark{fill:var(--line)}.rule{stroke:var(--ink);stroke-dasharray:3 3}"
    )


def _panel(panel: Panel, start: float, end: float) -> list[str]:
    right = end - (RIGHT_AXIS if panel.perplexity else 0) - RIGHT
    x = _axis(_values(panel, 0), panel.x_log, start + LEFT, right)
    y = _axis(_values(panel, 1), panel.y_log, HEIGHT - BOTTOM, TOP)
    body = [_text(x.start, 52, panel.title, "head"), *_legend(panel.lines, x.start, 72)]
    for value in y.ticks():
        body.append(_rule(x.start, y(value), x.end, y(value), "grid"))
        body.append(_text(x.start - 7, y(value) + 4, number(value), "end"))
    for value in x.ticks():
        body.append(_rule(x(value), y.start, x(value), y.start + 4, "axis"))
        body.append(_text(x(value), y.start + 18, number(value), "mid"))
    body.append(_rule(x.start, y.start, x.end, y.start, "axis"))
    body.append(_text((x.start + x.end) / 2, y.start + 38, panel.x_label, "mid"))
    body.append(_upright(start + 14, (y.start + y.end) / 2, panel.y_label))
    if panel.perplexity:
        body += _perplexities(y, x.end, end - 2)
    if panel.rule is not None:
        level, label = panel.rule
        body.append(_rule(x.start, y(level), x.end, y(level), "rule"))
        body.append(_text(x.end - 4, y(level) - 6, label, "end"))
    for line in panel.lines:
        body += _line(line, x, y, panel.y_log)
    return body


def _values(panel: Panel, axis: int) -> list[float]:
    """Everything that must fit; on a logarithmic axis only what is above 0."""
    found: list[float] = []
    for line in panel.lines:
        found += [*(line.x, line.y)[axis]]
        if axis and line.band is not None:
            found += [*line.band[0], *line.band[1]]
    if axis and panel.rule is not None:
        found.append(panel.rule[0])
    log = (panel.x_log, panel.y_log)[axis]
    return [v for v in found if math.isfinite(v) and (v > 0 or not log)]


def _axis(values: Sequence[float], log: bool, start: float, end: float) -> Axis:
    """The values' range and a little more; any range where there are no values."""
    low, high = min(values, default=1.0), max(values, default=2.0)
    if log:
        factor = max((high / low) ** 0.05, 1.1)
        return Axis(low / factor, high * factor, start, end, log=True)
    margin = 0.04 * (high - low) or 0.5
    # Tokens and steps begin at 0.
    return Axis(low - (margin if low > 0 else 0), high + margin, start, end)


def _perplexities(y: Axis, at: float, edge: float) -> list[str]:
    body = []
    for value in linear_ticks(math.exp(y.low), math.exp(y.high)):
        place = y(math.log(value))
        body.append(_rule(at, place, at + 4, place, "axis"))
        body.append(_text(at + 7, place + 4, number(value), ""))
    return [*body, _upright(edge, (y.start + y.end) / 2, "perplexity")]


def _legend(lines: Sequence[Line], left: float, top: float) -> list[str]:
    body, at = [], left
    for line in lines:
        if not line.label:
            continue
        if line.marks:
            body.append(_dot(at + 10, top - 4, line.colour))
        else:
            dash = " dash" if line.dashed else ""
            body.append(_rule(at, top - 4, at + 20, top - 4, f"c{line.colour} line{dash}"))
        body.append(_text(at + 25, top, line.label, ""))
        at += 39 + 6.4 * len(line.label)
    return body


def _line(line: Line, x: Axis, y: Axis, log: bool) -> list[str]:
    name = f"<title>{escape(line.label)}</title>" if line.label else ""
    shown: Callable[[float], bool] = lambda v: math.isfinite(v) and (v > 0 or not log)  # noqa: E731
    points = [(x(a), y(b)) for a, b in zip(line.x, line.y, strict=True) if shown(b)]
    if line.marks:
        return [_dot(a, b, line.colour, name) for a, b in points]
    body = []
    if line.band is not None:
        low, high = line.band
        edge = [(x(a), y(b)) for a, b in zip(line.x, high, strict=True) if shown(b)]
        edge += [(x(a), y(b)) for a, b in zip(line.x, low, strict=True) if shown(b)][::-1]
        body.append(f'<polygon points="{_points(edge)}" class="c{line.colour} band"/>')
    kind = f"c{line.colour} line{' dash' if line.dashed else ''}"
    body.append(f'<polyline points="{_points(points)}" class="{kind}">{name}</polyline>')
    return body


def _dot(x: float, y: float, colour: int, name: str = "") -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" class="c{colour} mark">{name}</circle>'


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in points)


def _rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'


def _upright(x: float, y: float, text: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" transform="rotate(-90 {x:.1f} {y:.1f})"'
    return f'<text {place} class="mid">{escape(text)}</text>'
