"""The SVG of a figure: whole, inert, inside its frame, and the same every time."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydratron.reproduce.figure import Figure, Line, Panel
from hydratron.reproduce.svg import HEIGHT, WIDTH, Axis, linear_ticks, log_ticks, number, svg

NAME = "{http://www.w3.org/2000/svg}"


def panel(*lines: Line, **options: bool | tuple[float, str]) -> Figure:
    return Figure("T & <b>", [Panel("p", "x", "y", lines, **options)])  # type: ignore[arg-type]


def elements(figure: Figure, tag: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg(figure)).findall(f"{NAME}{tag}")


def texts(figure: Figure) -> list[str]:
    return [element.text or "" for element in elements(figure, "text")]


def test_the_axis_maps_its_ends() -> None:
    axis = Axis(1, 100, 10, 110)
    assert (axis(1), axis(100), axis(50.5)) == (10, 110, 60)
    log = Axis(1, 100, 400, 0, log=True)
    assert log(10) == pytest.approx(200)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_linear_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    high = low + width
    ticks = linear_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    slack = 1e-6 * max(abs(low), abs(high), width)
    assert low - slack <= min(ticks) <= max(ticks) <= high + slack


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.5, 200, [1, 10, 100]),
        (3e5, 6e6, [5e5, 1e6, 2e6, 5e6]),
        (1e-9, 1e-4, [1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4]),
    ],
)
def test_log_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (2.5e6, "2.5M"), (5e5, "500k"), (4.25, "4.25"), (1e-6, "1e-6"), (157e9, "157B")],
)
def test_numbers_on_axes(value: float, text: str) -> None:
    assert number(value) == text


def test_markup_in_a_name_is_text() -> None:
    figure = panel(Line("<script>x</script>", [1, 2], [1, 2]))
    assert texts(figure)[:3] == ["T & <b>", "p", "<script>x</script>"]
    assert "<script" not in svg(figure)


def test_the_same_figure_has_the_same_bytes() -> None:
    lines = Line("a", [1, 2, 3], [0.1 + 0.2, 1 / 3, 2], band=([0, 0, 0], [1, 1, 3]))
    assert svg(panel(lines)) == svg(panel(lines))


@pytest.mark.parametrize("log", [False, True])
def test_everything_is_drawn_inside_the_frame(log: bool) -> None:
    lines = [
        Line("a", [1, 10, 1e6], [1e-9, 1, 1e9], band=([1e-9, 0.5, 1e9], [1e-8, 2, 1e9])),
        Line("b", [5, 7], [3, 3], 1, marks=True),
    ]
    figure = panel(*lines, x_log=log, y_log=log, rule=(1e-4, "bound"))
    drawn = svg(figure)
    pairs = [point for found in re.findall(r'points="([^"]*)"', drawn) for point in found.split()]
    pairs += [f"{x},{y}" for x, y in re.findall(r'cx="([^"]*)" cy="([^"]*)"', drawn)]
    assert len(pairs) == 3 + 6 + 2 + 1  # line, band, marks, legend
    for pair in pairs:
        x, y = map(float, pair.split(","))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
    assert "bound" in texts(figure)


def test_what_is_not_finite_or_not_positive_is_left_out() -> None:
    values = [1.0, math.inf, math.nan, 2.0]
    (line,) = elements(panel(Line("a", [1, 2, 3, 4], values)), "polyline")
    assert len(line.get("points", "").split()) == 2
    (line,) = elements(panel(Line("a", [1, 2], [0.0, 2.0]), y_log=True), "polyline")
    assert len(line.get("points", "").split()) == 1


def test_a_figure_without_a_point_is_a_figure() -> None:
    assert elements(panel(Line("a", [], []), y_log=True, perplexity=False), "polyline")
    assert elements(panel(), "rect")


def test_the_perplexity_axis_is_the_exponential() -> None:
    figure = panel(Line("a", [1, 2], [math.log(50), math.log(150)]), perplexity=True)
    place = {e.text: float(e.get("y", "nan")) for e in elements(figure, "text")}
    left, right = (place[number(value)] for value in (4.6, 100))
    # 100 = exp(4.605) lies a little above the loss of 4.6.
    assert right < left
    assert {"60", "100", "140"} <= place.keys()
