"""Config to YAML and back."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hydratron.config.keys import Option, options
from hydratron.config.load import dump, from_dict, load, to_dict, to_yaml
from hydratron.config.schema import Config
from hydratron.errors import ConfigError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KINDS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(10**12), 10**12),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    str: TEXT | st.sampled_from(["1", "1e-3", "null", "yes", "~", "a: b", "", "- x"]),
    list[str]: st.lists(TEXT, max_size=3),
    list[float]: st.lists(st.floats(allow_nan=False), max_size=3),
}


def _values(option: Option) -> st.SearchStrategy[Any]:
    strategy = KINDS[option.kind]
    return strategy | st.none() if option.nullable else strategy


@st.composite
def _configs(draw: st.DrawFn) -> Config:
    """The defaults with some options changed to values of their types, in bounds or not."""
    content: dict[str, Any] = {}
    for key in draw(st.sets(st.sampled_from(sorted(options())), max_size=8)):
        *sections, name = key.split(".")
        node = content
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = draw(_values(options()[key]))
    return from_dict(content)


@settings(deadline=None)
@given(_configs())
@example(from_dict({"data": {"path": "\x85 caf\u00e9"}}))
def test_every_configuration_survives_yaml(config: Config) -> None:
    assert from_dict(yaml.safe_load(to_yaml(config))) == config


def test_file_round_trip(tmp_path: Path) -> None:
    config = Config(seed=7)
    config.logger.tags.append("a b")
    dump(config, tmp_path / "config.yaml")
    assert load(tmp_path / "config.yaml") == config
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_missing_options_keep_their_defaults() -> None:
    assert from_dict({"seed": 3, "model": {"num_layers": 2}}).model.hidden_size == 192


def test_an_integer_is_a_number() -> None:
    lr = from_dict({"optim": {"lr": 1}}).optim.lr
    assert isinstance(lr, float)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"typo": 1}, "typo=1: no such option"),
        (
            {"trainer": {"max_stepz": 1}},
            "trainer.max_stepz=1: no such option; nearest: trainer.ma",
        ),
        ({"trainer": 3}, "trainer=3: a mapping of options is expected"),
        ({"seed": "1"}, "seed=1: an integer is expected"),
        ({"seed": True}, "seed=True: an integer is expected"),
        ({"seed": None}, "seed=None: an integer is expected"),
        ({"optim": {"lr": "1e-3"}}, "optim.lr=1e-3: a number is expected"),
        ({"model": {"recompute": 1}}, "model.recompute=1: a text is expected"),
        ({"logger": {"tags": ["a", 1]}}, "logger.tags=['a', 1]: a list of texts"),
    ],
)
def test_strange_content_is_refused(content: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(content)
    assert str(caught.value).startswith(line)
    assert len(caught.value.problems) == 1


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict({"typo": 1, "seed": "x", "model": {"num_layers": None}})
    keys = {problem.key for problem in caught.value.problems}
    assert keys == {"typo", "seed", "model.num_layers"}


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "\x00"])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml: not"):
        load(tmp_path / "config.yaml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "config.yaml")


def test_every_option_says_its_meaning() -> None:
    for option in options().values():
        assert option.meaning
        assert option.key.replace(".", "").replace("_", "").isalnum()
        assert set(option.key) <= {*string.ascii_lowercase, *string.digits, ".", "_"}
    assert to_dict(Config()).keys() == {key.partition(".")[0] for key in options()}


def test_recomputation_was_once_a_switch() -> None:
    for old, new in ((True, "layer"), (False, "none"), ("mlp", "mlp")):
        assert from_dict({"model": {"recompute": old}}).model.recompute == new
