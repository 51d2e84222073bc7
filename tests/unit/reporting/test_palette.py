from __future__ import annotations

import re

import pytest

from hydratron.models.placements import PLACEMENTS
from hydratron.reporting import palette as colours
from hydratron.reporting.palette import css, on_white, palette
from hydratron.reproduce.look import COLOURS


def luminance(colour: str) -> float:
    def linear(c: float) -> float:
        return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("count", [4, 7, 30])
def test_a_ramp_falls_in_lightness_and_stands_out_from_its_ground(count: int) -> None:
    names = list(map(str, range(count)))
    pairs = [re.findall("#[0-9a-f]{6}", colour) for colour in palette(names, scale=True)]
    for scheme, ground in ((0, "#ffffff"), (1, "#191c24")):
        shades = [luminance(pair[scheme]) for pair in pairs]
        assert shades == sorted(shades, reverse=True)
        assert len(set(shades)) == count
        back = luminance(ground)
        contrast = [(max(s, back) + 0.05) / (min(s, back) + 0.05) for s in shades]
        assert min(contrast) > 2.3


@pytest.mark.parametrize("names", [("gpt_pico", "gpt_micro"), ("pre", "post"), ("a", "b", "c")])
def test_a_figure_has_the_colours_of_the_page(names: tuple[str, ...]) -> None:
    light = dict(re.findall(r"(--c\d): light-dark\((#\w+),", css()))
    assert [light[variable[4:-1]] for variable in palette(names)] == on_white(names)
    assert set(on_white(names)) <= set(COLOURS)


def test_a_model_keeps_its_colour_whatever_it_is_compared_with() -> None:
    assert on_white(["gpt_nano"]) == on_white(["gpt_pico", "gpt_nano", "gpt_micro"])[1:2]
    assert on_white(["bert_nano"]) == on_white(["gpt_nano"])
    # Two of one colour would be mixed up.
    assert len(set(on_white(["gpt_nano", "bert_nano"]))) == 2


def test_the_names_with_colours_are_all_there_is_and_no_two_share_one() -> None:
    assert set(colours.PLACEMENTS) == set(PLACEMENTS)
    for table in (colours.MODELS, colours.PLACEMENTS):
        assert len(set(table.values())) == len(table)
        assert max(table.values()) < len(colours.LIGHT) == len(colours.DARK)
