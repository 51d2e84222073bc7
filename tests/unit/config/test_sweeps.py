"""Hydra's sweep grammar: every form gives its values, or one line that says what to do."""

from __future__ import annotations

import pytest

from hydratron.config.overrides import parse
from hydratron.config.sweeps import Sweep
from hydratron.errors import ConfigError

GROUPS = {
    "model": ["gpt_micro", "gpt_nano", "gpt_pico"],
    "experiment": ["demo", "mine/first"],
}


def values(*lines: str) -> list[str]:
    """The last override of each job, as the sweep gives it."""
    product = Sweep.of(parse(lines, GROUPS), GROUPS).product(shared=False)
    return [str(overrides[-1].input_line).partition("=")[2] for overrides in product]


def refusal(*lines: str, shared: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        Sweep.of(parse(lines, GROUPS), GROUPS).product(shared)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("seed=3", ["3"]),
        ("seed=3,1", ["3", "1"]),
        ("seed=choice(3,1)", ["3", "1"]),
        ("seed=sort(3,1,2)", ["1", "2", "3"]),
        ("seed=sort(choice(3,1),reverse=true)", ["3", "1"]),
        ("seed=range(4)", ["0", "1", "2", "3"]),
        ("seed=range(5,1,-2)", ["5", "3"]),
        ("seed=tag(mine,choice(1,2))", ["1", "2"]),
        ("seed=int(choice(1.0,2.0))", ["1", "2"]),
        ("optim.lr=float(range(1,3))", ["1.0", "2.0"]),
        ("optim.lr=range(0.5,2,0.5)", ["0.5", "1.0", "1.5"]),
        ("model=glob(*)", ["gpt_micro", "gpt_nano", "gpt_pico"]),
        ("model=glob([gpt_*],exclude=*nano)", ["gpt_micro", "gpt_pico"]),
        ("experiment=glob(*)", ["demo"]),
        ("++seed=1,2", ["1", "2"]),
        ("logger.tags=[a,b],[c]", ["[a,b]", "[c]"]),
        ("logger.project='a=b, c','d'", ["'a=b, c'", "'d'"]),
    ],
)
def test_the_values_of_each_form(line: str, expected: list[str]) -> None:
    assert values(line) == expected


@pytest.mark.parametrize("line", ["seed=shuffle(range(1,9))", "seed=shuffle(1,2,3,4,5,6,7,8)"])
def test_a_shuffle_loses_nothing(line: str) -> None:
    found = [values(line) for _ in range(9)]
    assert all(sorted(order) == list("12345678") for order in found)
    assert len({tuple(order) for order in found}) > 1


def test_the_last_word_on_a_key_counts_however_it_is_written() -> None:
    assert values("seed=1,2,3", "++seed=7") == ["7"]
    sweep = Sweep.of(parse(["seed=1,2", "model=glob(*)", "seed=5"], GROUPS), GROUPS)
    assert sweep.keys == ("model",)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (
            "optim.lr=interval(1e-4,1e-3)",
            "optim.lr=interval(1e-4,1e-3): an interval has no list of",
        ),
        ("optim.lr=tag(a,interval(1,2))", "optim.lr=tag(a,interval(1,2)): an interval has no list"),
        ("seed=range(5,1)", "seed=range(5,1): no value lies in it"),
        ("seed=range(1,5,0)", "seed=range(1,5,0): a step of 0 leads nowhere"),
        ("optim.lr=range(0.1,0.2,0)", "optim.lr=range(0.1,0.2,0): a step of 0 leads nowhere"),
        ("seed=range(1,4000000000)", "seed=range(1,4000000000): more than 10,000 jobs"),
    ],
)
def test_what_is_no_list_is_refused_in_one_line(line: str, answer: str) -> None:
    said = refusal(line)
    assert said.startswith(answer)
    assert "\n" not in said


def test_a_product_that_is_too_large_says_of_what() -> None:
    said = refusal("seed=range(200)", "model=gpt_pico", "schedule.warmup_steps=range(100)")
    assert said == "seed, schedule.warmup_steps=200 x 100: 20,000 jobs, at most 10,000"


def test_several_hosts_may_not_shuffle() -> None:
    assert "every host would shuffle differently" in refusal("seed=shuffle(1,2)", shared=True)
