"""Text options keep what was typed, and `~` is the home folder in every path."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from hydratron.config.keys import marked, options
from hydratron.config.plan import plan
from hydratron.config.schema import Config
from hydratron.config.texts import as_typed, at_home
from hydratron.config.validate import problems


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("data.path=1e5", "data.path='1e5'"),
        ("data.path=~/texts", "data.path='~/texts'"),
        ("data.path=données/a=b", "data.path='données/a=b'"),
        ("++data.path=1_000", "++data.path='1_000'"),
        ("tokenizer.path=007", "tokenizer.path=007"),
        ("data.text_key=true", "data.text_key='true'"),
        ("data.text_key=1e3, nan", "data.text_key='1e3','nan'"),
        ("data.paths=[~/a,1e5,b]", "data.paths=['~/a','1e5',b]"),
        ("data.path=choice(1e5,~/b)", "data.path=choice('1e5','~/b')"),
        ("data.path=sort(2,1,reverse=true)", "data.path=sort('2','1',reverse=true)"),
        ("hydra.sweep.dir=2024_10", "hydra.sweep.dir='2024_10'"),
    ],
)
def test_what_hydra_would_read_otherwise_is_quoted(typed: str, expected: str) -> None:
    (line,) = as_typed([typed])
    assert line.replace(" ", "") == expected
    assert as_typed([line]) == [line]


@pytest.mark.parametrize(
    "line",
    [
        "data.path=null", "data.path=", "data.path='1e5'", 'data.path="~/a",b', "data.path=a b/c.d",
        r"data.path=a\,b", "data.path=${data.cache_dir}/1e5", "data.path=range(1,3)",
        "data.path='unclosed", "data.path=it's", "optim.lr=1e-3", "seed=1,2", "model=glob(*)",
        "modl=1e5", "data.path", "~data.path", "hydra.mode=1e5",
    ],
)  # fmt: skip
def test_everything_else_stays(line: str) -> None:
    assert as_typed([line]) == [line]


@settings(deadline=None, max_examples=200)
@given(st.text(st.sampled_from("019_eE.+-~/ aéntrulif=:@#"), min_size=1, max_size=8))
def test_a_text_is_what_was_typed(text: str) -> None:
    read = OverridesParser.create().parse_overrides(as_typed([f"data.path={text}"]))[0].value()
    word = text.strip()
    assert read == (None if word.lower() == "null" else word)


def test_a_name_that_is_not_utf8_is_refused_before_it_is_written() -> None:
    config = Config()
    config.logger.save_dir = config.model.name = "café"
    assert [problem.key for problem in problems(config)] == ["model.name"]
    config.logger.save_dir, config.logger.tags = "caf\udce9", ["a", "\udce9"]
    found = [str(problem) for problem in problems(config)][:2]
    reason = "has bytes that are not UTF-8; rename it, or link to it"
    assert found == [
        f"logger.tags=['a', '\\udce9']: {reason}", f"logger.save_dir=caf\udce9: {reason}",
    ]  # fmt: skip


def test_home_is_found_in_every_path(home: Path) -> None:
    paths = [*marked("path")]
    assert paths == [
        "data.path", "data.validation_path", "data.paths", "data.cache_dir", "data.prepared",
        "tokenizer.path", "logger.save_dir", "resume", "init_from", "init_checkpoint",
    ]  # fmt: skip
    assert {options()[key].kind for key in paths} == {str, list[str]}
    config = Config(resume="~/j")
    config.data.paths = ["~", "a~", "~/b"]
    config.data.path = "~nobody-of-this-name/x"
    changed = at_home(config)
    assert changed.data.paths == [str(home), "a~", f"{home}/b"]
    assert (changed.resume, changed.data.path) == (f"{home}/j", "~nobody-of-this-name/x")


def test_a_command_finds_its_folders_at_home(home: Path) -> None:
    (home / "texts").mkdir()
    typed = ["data=text", "data.path=~/texts,'~/texts'", "data.cache_dir=1e5", "seed=1"]
    for folder in ("~/2024_10", "'~/2024_10'"):
        planned = plan(as_typed([*typed, f"hydra.sweep.dir={folder}", "seed=1,2"]), multirun=True)
        assert planned.folder == home / "2024_10"
        assert {job.config.data.path for job in planned.jobs} == {str(home / "texts")}
        assert {job.config.data.cache_dir for job in planned.jobs} == {"1e5"}
