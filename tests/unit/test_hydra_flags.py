"""Hydra's own flags, and the page about configs of one's own: as documented, or one line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from hydratron.cli import main
from hydratron.cli.hydra_flags import INSTEAD, hydra_parser
from hydratron.cli.train import build_parser

PAGE = Path(__file__).parents[2] / "docs" / "configs.md"


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's own files, in the folder in which the commands are given."""
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r"```yaml (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    return tmp_path / "my_configs"


def printed(capsys: pytest.CaptureFixture[str], command: str, verb: str = "train") -> str:
    assert main([verb, *shlex.split(command)]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], command: str) -> str:
    try:
        code: object = main(["train", *shlex.split(command)])
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    return said.err


def test_the_commands_of_the_page_say_what_they_do(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = re.findall(
        r"^hydratron train (--config-dir .*?)(?:  +# .*)?$", PAGE.read_text(), re.M
    )
    jobs = []
    for command in commands:
        out = printed(capsys, f"{command.removesuffix('--cfg job')} --cfg job")
        jobs.append([yaml.safe_load(text) for text in out.split("---")[1:]])
    assert [len(found) for found in jobs] == [1, 4, 2, 1, 4]
    assert {job["model"]["hidden_size"] for found in jobs for job in found} == {256}
    assert [(job["optim"]["lr"], job["seed"]) for job in jobs[1]] == [
        (1e-3, 1), (1e-3, 2), (2e-3, 1), (2e-3, 2),
    ]  # fmt: skip
    assert jobs[3][0]["trainer"]["max_steps"] == 300
    assert [path.name for path in Path().iterdir()] == ["my_configs"]


def test_a_folder_of_configs_joins_those_of_the_searchpath(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "a, b" / "layernorm"
    other.mkdir(parents=True)
    (other / "mine.yaml").write_text("# @package model.layernorm\nplacement: post\neps: 0.5\n")
    out = printed(
        capsys,
        "-cd my_configs \"hydra.searchpath=['file://a, b']\" model=wide layernorm=mine "
        "--cfg job --package model",
        "plan",
    )
    content = yaml.safe_load(out.split("\n", 1)[1])
    assert (content["name"], content["layernorm"]["eps"]) == ("wide", 0.5)


def test_a_file_that_would_be_passed_over_is_refused(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = mine / "model" / "gpt_pico.yaml"
    taken.write_text("num_layers: 99\n")
    said = refusal(capsys, "-cd my_configs model=gpt_pico")
    assert said.endswith(
        "gpt_pico.yaml: a file of this name comes before it; give yours another name\n"
    )
    from hydratron.config.folders import conf_dir

    taken.write_bytes((conf_dir() / "model" / "gpt_pico.yaml").read_bytes())
    assert "num_layers: 2" in printed(capsys, "-cd my_configs model=gpt_pico --cfg job")


@pytest.mark.parametrize("names", INSTEAD)
def test_flags_that_are_not_taken_say_what_to_do(
    names: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in names:
        assert refusal(capsys, f"{name} x").startswith(f"hydratron: {name}: is not taken; ")
    assert not {*names} & {*build_parser().flags, *hydra_parser("plan").flags}


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("--config-dir nowhere", "--config-dir=nowhere: no such folder"),
        ("--resolve", "--resolve: says how --cfg prints; add --cfg job|hydra|all"),
        ("--package model", "--package: says how --cfg prints; add --cfg"),
        ("--cfg job --package modl", "--package=modl: no such section; nearest: model"),
        ("--cfg job --info", "--cfg and --info exclude each other"),
        ("--info nothing", "argument -i/--info: invalid choice: 'nothing'"),
    ],
)
def test_flags_that_cannot_be_meant(
    command: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(capsys, command).startswith(f"hydratron: {answer}")


def test_hydra_prints_what_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert "my_configs" in printed(capsys, "--info searchpath --config-dir my_configs")
    assert "PlannedSweeper" in printed(capsys, "--info plugins")
    sweep = printed(capsys, "-m seed=1,2 --cfg hydra --resolve --package hydra.sweep")
    assert "subdir: 000_gpt_nano-single-pre-s1" in sweep
    assert "gpt_pico" in printed(capsys, "--cfg all -p model model=gpt_pico --resolve", "plan")
