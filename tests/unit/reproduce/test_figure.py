"""The SVG of a figure: whole, inert, the same every time, and showing what it was given."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hydratron.reproduce.draw import canvas, number, svg
from hydratron.reproduce.figure import Figure, HeatMap, Line, Panel
from hydratron.reproduce.look import COLOURS

NAME = "{http://www.w3.org/2000/svg}"


def figure(*lines: Line, **options: Any) -> Figure:
    return Figure("T & <b>", [Panel("p", "x", "y", lines, **options)])


def axes(*lines: Line, **options: Any) -> Axes:
    drawn = canvas(figure(*lines, **options))
    drawn.draw_without_rendering()
    return drawn.axes[0]


def points(line: Line2D) -> list[tuple[float, float]]:
    x, y = np.asarray(line.get_data(), dtype=float)
    return [*zip(x.tolist(), y.tolist(), strict=True)]


def legend(place: Axes) -> list[str]:
    found = place.get_legend()
    return [text.get_text() for text in found.get_texts()] if found else []


def labels(place: Any) -> list[str]:
    """The texts of the ticks that are inside the view."""
    low, high = sorted(place.get_ylim())
    ticks = zip(place.get_yticks(), place.get_yticklabels(), strict=True)
    return [text.get_text() for value, text in ticks if low <= value <= high]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0"), (2.5e6, "2.5M"), (5e5, "500k"), (4.25, "4.25"), (1e-6, "1e-6")),
        *((157e9, "157B"), (0.1 + 0.2, "0.3"), (-3.5, "-3.5")),
    ],
)
def test_numbers_on_axes(value: float, text: str) -> None:
    assert number(value) == text


def test_markup_and_mathematics_in_a_name_are_text() -> None:
    named = figure(Line("<script>x</script>", [1, 2], [1, 2]), Line(r"a $\no{$ N^-1", [1], [1]))
    text = svg(named)
    assert "<script" not in text
    assert text.startswith("<svg")
    ElementTree.fromstring(text)
    assert legend(canvas(named).axes[0]) == ["<script>x</script>", r"a $\no{$ N^-1"]


def test_the_same_figure_has_the_same_bytes_and_no_date() -> None:
    lines = Line("a", [1, 2, 3], [0.1 + 0.2, 1 / 3, 2], band=([0, 0, 0], [1, 1, 3]))
    text = svg(figure(lines))
    assert svg(figure(lines)) == text
    assert not re.search(r"metadata|matplotlib\.org|20\d\d-\d\d", text)


def test_nobodys_settings_change_a_figure() -> None:
    lines = figure(Line("a", [1, 2], [1, 2]))
    text = svg(lines)
    with matplotlib.rc_context({"axes.linewidth": 5, "font.size": 30}):
        assert svg(lines) == text


def test_every_line_is_drawn_with_its_colour_and_kind() -> None:
    place = axes(
        Line("a", [1, 2], [3, 4], band=([2, 3], [4, 6])),
        Line("b", [1, 2], [4, 3], 1, dashed=True),
        Line("", [1, 2], [5, 5], 2, marks=True),
    )
    drawn = [
        (line.get_color(), line.get_linestyle(), line.get_marker(), points(line))
        for line in place.get_lines()
    ]
    assert drawn == [
        (COLOURS[0], "-", "None", [(1, 3), (2, 4)]),
        (COLOURS[1], "--", "None", [(1, 4), (2, 3)]),
        (COLOURS[2], "None", "o", [(1, 5), (2, 5)]),
    ]
    (band,) = place.collections
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == (2, 6)
    assert legend(place) == ["a", "b"]


def test_the_rule_is_drawn_and_named() -> None:
    place = axes(Line("a", [1, 2], [1e-8, 1e-7]), y_log=True, rules=[(1e-5, "bound")])
    assert points(place.get_lines()[-1]) == [(0, 1e-5), (1, 1e-5)]
    assert [text.get_text() for text in place.texts] == ["bound"]
    assert place.get_ylim()[1] > 1e-5
    assert labels(place) == ["1e-8", "1e-7", "1e-6", "1e-5"]


def test_a_short_logarithmic_axis_has_ticks_between_the_powers() -> None:
    assert labels(axes(Line("a", [1, 2], [3e5, 6e6]), y_log=True)) == ["500k", "1M", "2M", "5M"]


def test_what_is_not_finite_or_not_positive_is_left_out() -> None:
    (line,) = axes(Line("a", [1, 2, 3, 4], [1.0, math.inf, math.nan, 2.0])).get_lines()
    assert points(line) == [(1, 1), (4, 2)]
    (line,) = axes(Line("a", [1, 2], [0.0, 2.0]), y_log=True).get_lines()
    assert points(line) == [(2, 2)]


@pytest.mark.parametrize("options", [{}, {"y_log": True}, {"perplexity": True}])
def test_a_figure_without_a_point_is_a_figure(options: dict[str, bool]) -> None:
    for lines in ([], [Line("a", [], [])]):
        assert ElementTree.fromstring(svg(figure(*lines, **options))).findall(f"{NAME}g")


def test_the_perplexity_axis_is_the_exponential() -> None:
    place = axes(Line("a", [1, 2], [math.log(50), math.log(150)]), perplexity=True)
    (right,) = place.child_axes
    low, high = right.get_ylim()
    assert (low, high) == pytest.approx([math.exp(value) for value in place.get_ylim()])
    assert {"50", "60", "100", "150"} <= set(labels(right))


def test_the_ticks_of_perplexity_reach_the_ends_of_the_data() -> None:
    place = axes(Line("a", [1, 2], [math.log(25), math.log(900)]), perplexity=True)
    (right,) = place.child_axes
    assert {"50", "100", "200", "500"} <= set(labels(right))


def test_several_levels_are_named_in_the_legend_below_the_curves() -> None:
    lines = [Line("a", [1, 2], [1, 2]), Line("b", [1, 2], [2, 1])]
    place = axes(*lines, rules=[(2.0, "high"), (1.95, "low")])
    assert not place.texts
    # By columns of two.
    assert legend(place) == ["a", "high", "b", "low"]


def test_panels_that_are_compared_have_the_given_axis() -> None:
    assert axes(Line("a", [1, 2], [1, 2]), y_limits=(0.0, 5.0)).get_ylim() == (0.0, 5.0)


def test_panels_share_the_width_as_they_ask() -> None:
    panels = [Panel("p", "x", "y", [], width=3), Panel("q", "x", "y", [], width=1)]
    drawn = canvas(Figure("t", panels))
    drawn.draw_without_rendering()
    first, second = (place.get_position().width for place in drawn.axes)
    assert first / second == pytest.approx(3, rel=0.05)


def heat_map(**options: Any) -> HeatMap:
    values = [[4.5, 5.0], [math.nan, 5.5]]
    return HeatMap("h", "rate", "layers", ["1e-3", "3e-3"], ["4", "12"], values, (4, 6), **options)


def test_a_heat_map_shows_each_value_where_it_belongs() -> None:
    crossed = heat_map(crossed=frozenset({(1, 1)}), mark="fails")
    drawn = canvas(Figure("t", [crossed]))
    drawn.draw_without_rendering()
    (place,) = drawn.axes
    shown = {text.get_position(): text.get_text() for text in place.texts}
    assert shown == {(0, 0): "4.50", (1, 0): "5.00", (1, 1): "5.50\n×", (0, 1): "not run"}
    assert [label.get_text() for label in place.get_xticklabels()] == ["1e-3", "3e-3"]
    assert [label.get_text() for label in place.get_yticklabels()] == ["4", "12"]
    assert place.get_xlabel().endswith("\n× fails")
    low, high = place.get_ylim()
    assert low > high  # the first row on top
    (mesh,) = place.collections
    assert mesh.get_clim() == (4, 6)
    assert "fails" not in canvas(Figure("t", [heat_map(mark="fails")])).axes[0].get_xlabel()


def test_legends_and_cells_stay_within_a_narrow_panel() -> None:
    lines = [Line(f"a long name {i}", [1, 2], [1.0, 2.0]) for i in range(4)]
    narrow = [Panel("p", "x", "y", lines) for _ in range(3)]
    drawn = canvas(Figure("t", [heat_map() for _ in range(9)], narrow))
    drawn.draw_without_rendering()
    *maps, first, second, _ = drawn.axes
    edge = second.get_window_extent().x0
    legend = first.get_legend()
    assert legend is not None
    assert first.get_window_extent().width > 100
    assert legend.get_window_extent().x1 < edge
    assert {text.get_fontsize() for place in maps for text in place.texts} == {7}


def test_a_second_line_of_panels_lies_below_the_first() -> None:
    drawn = canvas(Figure("t", [Panel("p", "x", "y", [])], [heat_map(), heat_map()]))
    drawn.draw_without_rendering()
    tops = [place.get_window_extent().y1 for place in drawn.axes]
    assert len(tops) == 3
    assert tops[0] > tops[1] == tops[2]
    assert "<image" not in svg(Figure("t", [heat_map()]))
