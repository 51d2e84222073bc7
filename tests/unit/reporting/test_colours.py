from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hydratron.config.model import ModelConfig
from hydratron.job import flatten
from hydratron.reporting.colours import Colouring, colourings, palette, styles
from hydratron.reporting.records import Run
from tests.unit.reporting.synthetic import MICRO, NANO, PICO, config


def run(model: ModelConfig = PICO, tp: int = 1, seed: int = 1, **settings: Any) -> Run:
    changed = {key.replace("__", "."): value for key, value in settings.items()}
    return Run(Path("job"), flatten(asdict(config(model, tp, seed=seed))) | changed)


def by(key: str, runs: list[Run]) -> Colouring:
    return next(offered for offered in colourings(runs) if offered.key == key)


def test_colours_follow_size_and_dashes_follow_ranks() -> None:
    runs = [run(model, tp) for tp in (4, 1, 2) for model in (MICRO, PICO, NANO)]
    variant = colourings(runs)[0]
    assert variant.key == "variant"
    assert variant.labels == ("gpt_pico", "gpt_nano", "gpt_micro")
    assert variant.colours == ("var(--c0)", "var(--c1)", "var(--c5)")
    assert variant.of == (2, 0, 1) * 3
    found = styles(runs)
    assert {(s.degree, s.dash) for s in found} == {("single", 0), ("tp2", 1), ("tp4", 2)}
    assert len({s.pattern for s in found}) == 3


def test_every_key_that_differs_is_offered_once() -> None:
    runs = [run(m, seed=s, optim__lr=lr) for m in (PICO, NANO) for s in (1, 2) for lr in (1, 2)]
    keys = [offered.key for offered in colourings(runs)]
    assert keys[:2] == ["variant", "model"]
    assert {"optim.lr", "seed", "model.num_layers"} <= set(keys)
    assert "model" not in [c.key for c in colourings([run(PICO), run(NANO)])]
    assert [c.key for c in colourings([run(), run(tp=2)])] == ["variant", "parallel"]
    assert [c.key for c in colourings([run()])] == ["variant"]
    assert "data.path" not in keys
    moved = [run(logger__name="a"), run(logger__name="b")]
    assert [c.key for c in colourings(moved)] == ["variant"]


def test_numbers_are_in_the_order_of_their_value() -> None:
    rates = [3e-3, 1e-4, 1e-2, 1e-3]
    found = by("optim.lr", [run(optim__lr=rate) for rate in rates])
    assert found.labels == ("0.0001", "0.001", "0.003", "0.01")
    assert found.of == (2, 0, 3, 1)
    assert all(colour.startswith("light-dark(") for colour in found.colours)
    few = by("optim.lr", [run(optim__lr=rate) for rate in rates[:3]])
    assert few.colours == ("var(--c0)", "var(--c1)", "var(--c5)")


def test_values_that_read_alike_and_no_value_stay_apart() -> None:
    found = by("optim.lr", [run(optim__lr=v) for v in (0.12345678, 0.12345679, None)])
    assert found.labels == ("null", "0.12345678", "0.12345679")


def luminance(colour: str) -> float:
    def linear(c: float) -> float:
        return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("count", [4, 7, 30])
def test_a_ramp_falls_in_lightness_and_stands_out_from_its_ground(count: int) -> None:
    pairs = [re.findall("#[0-9a-f]{6}", colour) for colour in palette(count, scale=True)]
    for scheme, ground in ((0, "#ffffff"), (1, "#191c24")):
        shades = [luminance(pair[scheme]) for pair in pairs]
        assert shades == sorted(shades, reverse=True)
        assert len(set(shades)) == count
        back = luminance(ground)
        contrast = [(max(s, back) + 0.05) / (min(s, back) + 0.05) for s in shades]
        assert min(contrast) > 2.3


def test_more_variants_than_colours_are_still_all_different() -> None:
    many = [run(replace(PICO, name=f"m{i}", num_layers=i)) for i in range(1, 9)]
    variant = colourings(many)[0]
    assert variant.of == tuple(range(8))
    assert len(set(variant.colours)) == 8
