"""What Tab offers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hydratron.cli.completion import of_reproduce
from hydratron.config.completion import complete, script

FLAGS = {"train": ["--cfg", "--help", "--multirun"], "report": ["--help"], "completion": []}
WORDS = {"completion": lambda typed: ["bash", "fish", "zsh"], "reproduce": of_reproduce}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hydratron ", ["train", "report", "completion", "--help", "--version"]),
        ("hydratron tr", ["train"]),
        ("hydratron train -", ["--cfg", "--help", "--multirun"]),
        ("hydratron report ", []),
        ("hydratron report --", ["--help"]),
        ("hydratron completion ", ["bash", "fish", "zsh"]),
        ("hydratron train mod", ["model.", "model="]),
        ("hydratron train model=gpt_p", ["model=gpt_pico"]),
        ("hydratron train -m model=gpt_pico,gpt_n", ["model=gpt_pico,gpt_nano"]),
        ("hydratron train -m model=gpt_pico paralle", ["parallel.", "parallel="]),
        ("hydratron train trainer.max_s", ["trainer.max_steps="]),
        (
            "hydratron train trainer.precision=",
            ["trainer.precision=fp32", "trainer.precision=bf16", "trainer.precision=fp16"],
        ),
        ("hydratron train trainer.precision=fp32,b", ["trainer.precision=fp32,bf16"]),
        ("hydratron train model.recompute=l", ["model.recompute=layer"]),
        ("hydratron train parallel.sequence_parallel=t", ["parallel.sequence_parallel=true"]),
        ("hydratron train hydra/laun", ["hydra/launcher="]),
        ("hydratron train a=[ model=", []),
        ("hydratron plan clus", ["cluster.", "cluster="]),
        ("hydratron plan plan.numerics=o", ["plan.numerics=ours"]),
        ("hydratron train clus", []),
        ("hydratron train plan.numerics=o", []),
        ("hydratron nothing ", []),
        ("hydratron reproduce fig6", ["fig6_gpt_scaling"]),
        ("hydratron reproduce --profile sm", ["smoke", "small"]),
        ("hydratron reproduce fig6 --profile s", ["smoke", "small"]),
        ("hydratron reproduce no_such --profile ", []),
    ],
)
def test_answers(line: str, expected: list[str]) -> None:
    assert complete(line, FLAGS, WORDS) == expected


def test_files_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "book.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    assert complete("hydratron train data.path=./bo", FLAGS) == ["data.path=./book.txt"]


BASH_QUESTION = """
{script}
ask() {{
    COMP_LINE=$1 COMP_POINT=${{#1}}
    _hydratron
    echo "${{COMPREPLY[*]}}"
}}
ask "hydratron train mod"
ask "hydratron train model=gpt_p"
COMP_WORDBREAKS=${{COMP_WORDBREAKS//=}}
ask "hydratron train model=gpt_p"
complete -p hydratron
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes(tmp_path: Path) -> None:
    """In bash itself, with and without = among the characters at which it breaks words."""
    command = tmp_path / "hydratron"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m hydratron.cli "$@"\n')
    command.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    ran = subprocess.run(
        ["bash", "-c", BASH_QUESTION.format(script=script("bash"))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == [
        "model. model=",
        "gpt_pico",
        "model=gpt_pico",
        "complete -o default -o nospace -F _hydratron hydratron",
    ]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_accept_their_script(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    ran = subprocess.run([shell, "-n"], input=script(shell), capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
