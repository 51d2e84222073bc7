from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hydratron.config.model import ModelConfig
from hydratron.job import flatten
from hydratron.reporting.colours import ALL, DASHES, NONE, PARALLEL, Legend, legends
from hydratron.reporting.records import Run
from tests.unit.reporting.synthetic import MICRO, NANO, PICO, config

PLACE = "model.layernorm.placement"


def run(model: ModelConfig = PICO, tp: int = 1, seed: int = 1, **settings: Any) -> Run:
    changed = {key.replace("__", "."): value for key, value in settings.items()}
    return Run(Path("job"), flatten(asdict(config(model, tp, seed=seed))) | changed)


def by(key: str, runs: list[Run]) -> Legend:
    found = legends(runs).of(key)
    assert found is not None
    return found


def test_colours_follow_size_and_dashes_follow_ranks() -> None:
    runs = [run(model, tp) for tp in (4, 1, 2) for model in (MICRO, PICO, NANO)]
    found = legends(runs)
    assert (found.colour, found.dash) == ("model", PARALLEL)
    models = by("model", runs)
    assert models.labels == ("gpt_pico", "gpt_nano", "gpt_micro")
    assert models.colours == ("var(--c0)", "var(--c1)", "var(--c5)")
    assert models.of == (2, 0, 1) * 3
    assert by(PARALLEL, runs).labels == ("single", "tp2", "tp4")


def test_what_differs_is_shared_out_over_colour_and_dash() -> None:
    both = [run(model__layernorm__placement=p, optim__lr=lr) for p in "ab" for lr in (1, 2)]
    assert (legends(both).colour, legends(both).dash) == ("placement", "lr")
    # The dash has few values, so it goes to the option of the fewest.
    many = [run(model__layernorm__placement=p, optim__lr=lr) for p in "ab" for lr in range(1, 8)]
    assert (legends(many).colour, legends(many).dash) == ("lr", "placement")
    assert not by("lr", many).dashes
    sizes = [run(m, optim__lr=lr) for m in (PICO, NANO) for lr in (1, 2, 3)]
    assert (legends(sizes).colour, legends(sizes).dash) == ("model", "lr")
    one = [run(optim__lr=lr, seed=seed) for lr in (1, 2) for seed in (1, 2)]
    assert (legends(one).colour, legends(one).dash) == ("lr", NONE)
    three = [
        run(m, model__layernorm__placement=p, optim__lr=lr)
        for m in (PICO, NANO) for p in "ab" for lr in (1, 2)
    ]  # fmt: skip
    found = legends(three)
    assert (found.colour, found.dash) == (ALL, "lr")
    # What the dash tells is not in the colour's labels, and neither is what all runs share.
    assert found.offered[0].labels == (
        *(f"gpt_{name}, placement {p}" for name in ("pico", "nano") for p in "ab"),
    )
    assert [offered.key for offered in found.offered] == [ALL, "model", "placement", "lr"]


def test_what_follows_from_the_model_or_changes_in_step_takes_no_dash() -> None:
    rates = ((PICO, 3e-3), (NANO, 2e-3), (MICRO, 1e-3))
    own = [run(m, optim__lr=lr, schedule__min_lr=lr / 10) for m, lr in rates]
    assert (legends(own).colour, legends(own).dash) == ("model", NONE)
    assert [offered.key for offered in legends(own).offered] == ["model", "lr", "min_lr"]
    step = [run(optim__lr=lr, schedule__min_lr=lr / 10) for _, lr in rates]
    assert (legends(step).colour, legends(step).dash) == ("lr", NONE)


def test_a_single_variant_has_one_colour() -> None:
    for runs in (
        [run()],
        [run(seed=1), run(seed=2)],
        [run(logger__name="a"), run(logger__name="b")],
    ):
        found = legends(runs)
        assert (found.colour, found.dash, found.offered[0].labels) == (ALL, NONE, ("gpt_pico",))


def test_numbers_are_in_the_order_of_their_value() -> None:
    rates = [3e-3, 1e-4, 1e-2, 1e-3]
    found = by("lr", [run(optim__lr=rate) for rate in rates])
    assert found.labels == ("0.0001", "0.001", "0.003", "0.01")
    assert found.of == (2, 0, 3, 1)
    assert all(colour.startswith("light-dark(") for colour in found.colours)
    few = by("lr", [run(optim__lr=rate) for rate in rates[:3]])
    assert few.colours == ("var(--c0)", "var(--c1)", "var(--c5)")


def test_values_that_read_alike_and_no_value_stay_apart() -> None:
    found = by("lr", [run(optim__lr=v) for v in (0.12345678, 0.12345679, None)])
    assert found.labels == ("null", "0.12345678", "0.12345679")


def test_a_placement_has_its_colour_whatever_it_is_compared_with() -> None:
    def colours(*names: str) -> dict[str, str]:
        found = by("placement", [run(model__layernorm__placement=name) for name in names])
        return dict(zip(found.labels, found.colours, strict=True))

    two, three = colours("pre", "post"), colours("sandwich", "pre", "post")
    assert two.items() <= three.items()
    assert len(set(three.values())) == 3


def test_more_variants_than_colours_are_still_all_different() -> None:
    many = [run(replace(PICO, name=f"m{i}", num_layers=i)) for i in range(1, 9)]
    models = by("model", many)
    assert models.of == tuple(range(8))
    assert len(set(models.colours)) == 8
    assert len(set(DASHES)) == len(DASHES)
