"""Panels of bars: the values where they belong, and names and legends that do not collide."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from hydratron.reproduce.draw import canvas, svg
from hydratron.reproduce.figure import Bars, Figure, Line, Panel
from hydratron.reproduce.look import COLOURS

COLUMNS = ("1.2B", "2.5B", "4.2B")
STACKS = {"weights": [1.0, 2.0, 3.0], "activations": [4.0, math.nan, 6.0]}
TERMS = ("weights", "masters", "gradients", "optimizer", "activations", "recomputed", "temporary")
SEVEN = {name: [1.0, 2.0, 3.0] for name in TERMS}


def bars(**changes: Any) -> Bars:
    whole: dict[str, Any] = {"columns": COLUMNS, "stacks": STACKS}
    return Bars("Memory", "model", "GiB", **whole | changes)


def drawn(*panels: Bars | Panel, below: tuple[Bars | Panel, ...] = ()) -> list[Axes]:
    figure = canvas(Figure("t", panels, below))
    figure.draw_without_rendering()
    return figure.axes


def boxes(axes: Axes) -> list[tuple[object, ...]]:
    """Colour, middle, width, bottom and top of every bar, in the order of drawing."""
    found = []
    for container in axes.containers:
        for bar in container:
            assert isinstance(bar, Rectangle)
            colour = to_hex(bar.get_facecolor())
            middle, width = bar.get_x() + bar.get_width() / 2, bar.get_width()
            edges = (middle, width, bar.get_y(), bar.get_y() + bar.get_height())
            found.append((colour, *(round(e, 6) for e in edges)))
    return found


def names(axes: Axes) -> list[Text]:
    return [text for text in axes.get_xticklabels() if text.get_text()]


def legend(axes: Axes) -> Legend:
    found = axes.get_legend()
    assert found is not None
    return found


def labels(axes: Axes) -> list[str]:
    return [text.get_text() for text in legend(axes).get_texts()]


def rows(axes: Axes) -> int:
    return len({round(text.get_window_extent().y0) for text in legend(axes).get_texts()})


def title(axes: Axes) -> Bbox:
    found: Bbox = axes._left_title.get_window_extent()  # type: ignore[attr-defined]
    return found


def places(line: Line2D) -> list[list[float]]:
    found: list[list[float]] = np.asarray(line.get_data(), dtype=float).tolist()
    return found


def inside(inner: Bbox, outer: Bbox) -> bool:
    return bool(outer.x0 - 0.5 <= inner.x0 and inner.x1 <= outer.x1 + 0.5)


def test_values_lie_on_each_other_and_a_missing_one_leaves_no_gap() -> None:
    stacks = STACKS | {"temporary": [0.5, 0.5, 0.5]}
    (axes,) = drawn(bars(stacks=stacks))
    assert boxes(axes) == [
        *((COLOURS[0], x, 0.75, 0, top) for x, top in enumerate((1, 2, 3))),
        *((COLOURS[1], x, 0.75, *span) for x, span in ((0, (1, 5)), (2, (3, 9)))),
        *((COLOURS[2], x, 0.75, low, low + 0.5) for x, low in enumerate((5, 2, 9))),
    ]
    assert labels(axes) == ["weights", "activations", "temporary"]
    assert [text.get_text() for text in names(axes)] == list(COLUMNS)
    assert axes.get_ylabel() == "GiB"
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > 9.5


def test_grouped_values_stand_side_by_side() -> None:
    (axes,) = drawn(bars(grouped=True))
    assert boxes(axes) == [
        *((COLOURS[0], x - 0.1875, 0.375, 0, top) for x, top in enumerate((1, 2, 3))),
        *((COLOURS[1], x + 0.1875, 0.375, 0, top) for x, top in ((0, 4), (2, 6))),
    ]


def test_marks_are_points_over_their_bars() -> None:
    marks = {"published": [1.5, math.nan, 8.0]}
    for grouped in (False, True):
        (axes,) = drawn(bars(marks=marks, grouped=grouped))
        (line,) = axes.get_lines()
        assert places(line) == [[0, 2], [1.5, 8]]
        assert line.get_linestyle() == "None"
        assert line.get_zorder() > max(bar.get_zorder() for bar in axes.patches)
        assert labels(axes) == ["weights", "activations", "published"]
    both = {"paper, weights": [1, 1, 1], "paper, activations": [2, 2, 2]}
    (axes,) = drawn(bars(marks=both, grouped=True))
    first, second = (places(line)[0] for line in axes.get_lines())
    assert (first, second) == ([-0.1875, 0.8125, 1.8125], [0.1875, 1.1875, 2.1875])
    shapes = {line.get_marker() for line in axes.get_lines()}
    assert len(shapes) == 2


def test_rules_are_named_inside_the_axes_and_apart() -> None:
    rules = [(80.0, "A100 80 GB"), (32.0, "V100 32 GB"), (33.0, "33 GB")]
    (axes,) = drawn(bars(rules=rules))
    assert [places(line)[1][0] for line in axes.get_lines()] == [80, 32, 33]
    found = {text.get_text(): text for text in axes.texts}
    assert list(found) == ["V100 32 GB", "33 GB", "A100 80 GB"]
    assert [text.get_horizontalalignment() for text in found.values()] == ["right", "left", "right"]
    frame = axes.get_window_extent()
    for text in found.values():
        assert inside(text.get_window_extent(), frame)
        assert text.get_window_extent().y1 <= frame.y1
    for one, other in combinations(found.values(), 2):
        assert not one.get_window_extent().overlaps(other.get_window_extent())
    assert labels(axes) == ["weights", "activations"]


def test_each_of_seven_stacks_has_its_colour() -> None:
    (axes,) = drawn(bars(stacks=SEVEN))
    assert len({colour for colour, *_ in boxes(axes)}) == 7
    assert labels(axes) == list(TERMS)


@pytest.mark.parametrize("panels", [1, 3])
def test_a_long_legend_takes_rows_between_the_title_and_the_axes(panels: int) -> None:
    axes = drawn(*[bars(stacks=SEVEN)] * panels)[-1]
    assert rows(axes) == {1: 1, 3: 4}[panels]
    frame, texts = axes.get_window_extent(), legend(axes).get_texts()
    for text in texts:
        assert inside(text.get_window_extent(), frame)
        assert frame.y1 < text.get_window_extent().y0
        assert text.get_window_extent().y1 < title(axes).y0


def test_a_label_wider_than_the_panel_is_one_row_for_itself() -> None:
    stacks = {f"{name}, as the paper's own table has it for the run": [1.0] * 3 for name in "ab"}
    axes = drawn(*[bars(stacks=stacks)] * 3)[0]
    assert rows(axes) == 2


def test_titles_side_by_side_have_one_height_and_those_below_their_own() -> None:
    plain = bars(stacks={"a": [1, 2, 3]})
    lines = Panel("p", "x", "y", [Line("a", [1], [1])])
    axes = drawn(bars(stacks=SEVEN), plain, lines, below=(plain, lines))
    above = [title(place).y0 - place.get_window_extent().y1 for place in axes]
    assert title(axes[0]).y0 == pytest.approx(title(axes[1]).y0, abs=1)
    assert above[3] < above[1]


@pytest.mark.parametrize(
    ("columns", "rotation", "lines"),
    [
        (("1.2B", "2.5B", "4.2B", "8.3B"), 0, 1),
        (("GPT 1.2B 64 GPUs", "GPT 2.5B 128 GPUs", "GPT 4.2B 256 GPUs"), 0, 2),
        (("gpt2_1.2b_single", "gpt2_2.5b_tp2", "gpt2_8.3b_tp8_dp64"), 45, 1),
        (tuple(f"gpt2_8.3b_tp{n}" for n in range(10, 24)), 90, 1),
    ],
)
def test_long_names_of_columns_do_not_collide(
    columns: tuple[str, ...], rotation: float, lines: int
) -> None:
    panel = bars(columns=columns, stacks={"a": [1.0] * len(columns)})
    axes = drawn(panel, panel, panel)[1]
    found = names(axes)
    assert {text.get_rotation() for text in found} == {rotation}
    assert max(text.get_text().count("\n") for text in found) + 1 == lines
    assert [" ".join(text.get_text().split()) for text in found] == list(columns)
    if rotation != 45:
        for one, other in pairwise(found):
            assert not one.get_window_extent().overlaps(other.get_window_extent())
    bottom = axes.xaxis.label.get_window_extent()
    assert bottom.y1 <= min(text.get_window_extent().y0 for text in found) + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"stacks": {}},
        {"columns": (), "stacks": {}},
        {"columns": (), "stacks": {"a": []}, "rules": [(1.0, "x")]},
        {"stacks": {"a": [math.nan] * 3}, "marks": {"b": [math.nan] * 3}, "grouped": True},
    ],
)
def test_a_panel_without_a_bar_is_a_panel(changes: dict[str, Any]) -> None:
    ElementTree.fromstring(svg(Figure("t", [bars(**changes)])))


def test_the_same_bars_have_the_same_bytes() -> None:
    whole = Figure("t", [bars(stacks=SEVEN, rules=[(9.0, "x")], marks={"p": [1, 2, 3]})] * 3)
    text = svg(whole)
    assert svg(whole) == text
    assert "<image" not in text
