"""The command as a person types it: help, mistakes, and how little it loads to answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hydratron.cli import main, prepare, report


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


MISTAKES = [
    (["trian"], "trian: no such verb; nearest: train"),
    (["train", "--multi-run"], "unrecognized arguments: --multi-run"),
    (["train", "modl=gpt_nano"], "modl=gpt_nano: no such option; nearest: model="),
    (["train", "model=gpt_nanoo"], "model=gpt_nanoo: no such choice; nearest: gpt_nano"),
    (["train", "+typo=1"], "+typo=1: no such option; nearest: "),
    (["train", "++trainer.max_stepz=3"], "++trainer.max_stepz=3: no such option; nearest: tr"),
    (["train", "~model.foo"], "~model.foo: no such option"),
    (["train", "trainer.max_steps=abc"], "trainer.max_steps=abc: an integer is expected"),
    (["train", "a==b"], "a==b: cannot be read"),
    (["train", "parallel=tp8"], "parallel.tensor_model_parallel_size=8: does not divide"),
    (["train", "seed=1,2"], "seed=1,2: several values: add -m to sweep"),
    (["train", "resume=nowhere"], "resume=nowhere: no such job folder"),
    (["train", "hydra.sweepr.dir=x"], "Could not override 'hydra.sweepr.dir'."),
    (["report"], "the following arguments are required: FOLDER"),
    (["report", "nowhere"], "nowhere"),
    (["completion", "tcsh"], "argument bash|zsh|fish: invalid choice: 'tcsh'"),
]


@pytest.mark.parametrize(("argv", "answer"), MISTAKES, ids=lambda value: str(value)[-30:])
def test_a_mistake_is_one_line_and_leaves_nothing(
    argv: list[str], answer: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(argv)
    except SystemExit as stop:  # argparse
        code = int(str(stop.code))
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.startswith("hydratron: ")
    assert answer in said.err
    assert len(said.err.splitlines()) == 1
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [("hydratron prepare --me", ["--merge"]), ("hydratron train --pre", ["--prepare-only"])],
)
def test_the_flags_of_a_verb_are_completed(
    line: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "query", line]) == 0
    assert capsys.readouterr().out.split() == expected


def test_all_mistakes_of_a_sweep_are_named(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [
        "trainer.global_batch_size=9",
        "trainer.micro_batch_size=8",
        "parallel=tp2,tp8",
        "schedule.warmup_steps=2000",
    ]
    assert main(["train", "-m", *wrong]) == 2
    keys = [line.split("=")[0] for line in capsys.readouterr().err.splitlines()]
    assert keys == [
        "hydratron: trainer.global_batch_size",
        "hydratron: schedule.warmup_steps",
        "hydratron: parallel.tensor_model_parallel_size",
    ]
    assert list(elsewhere.iterdir()) == []


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    top = capsys.readouterr().out
    assert all(f"  {verb} " in top for verb in ("train", "plan", "report", "completion"))
    assert main(["train", "--help"]) == 0
    train = capsys.readouterr().out
    for expected in ("gpt_nano*", "experiment=   demo", "trainer.max_steps=1000", "resume=null"):
        assert expected in train
    assert max(len(line) for line in train.splitlines()) <= 100
    assert "cluster" not in train
    assert main(["plan", "--help"]) == 0
    plan = capsys.readouterr().out
    for expected in ("cluster=      custom,", "plan.numerics=ours", "trainer.max_steps=1000"):
        assert expected in plan
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hydratron ")
    assert main([]) == 2


def _python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True
    )


HEAVY = "'torch', 'lightning', 'hydra', 'omegaconf', 'yaml', 'numpy', 'pandas', 'plotly', 'wandb'"


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["trian"], ["completion", "bash"]])
def test_light_commands_import_nothing_heavy(argv: list[str], tmp_path: Path) -> None:
    heavy = HEAVY.replace("'yaml', ", "") if argv[0] == "completion" else HEAVY
    code = f"""
import sys
from hydratron.cli import main, prepare, report
main({argv})
print(sorted({{{heavy}}} & set(sys.modules)))
"""
    ran = _python(code, tmp_path)
    assert ran.stdout.splitlines()[-1] == "[]", ran.stderr


def test_a_refused_command_imports_no_torch(tmp_path: Path) -> None:
    code = """
import sys
from hydratron.cli import main, prepare, report
assert main(["train", "modl=x"]) == 2
print("torch" in sys.modules, "pandas" in sys.modules)
"""
    assert _python(code, tmp_path).stdout == "False False\n"


def test_home_is_found_in_the_paths_of_every_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    asked = prepare.build_parser().parse_args(["~/a", "b", "--output=~/c"])
    assert (asked.inputs, asked.output) == (["/home/me/a", "b"], Path("/home/me/c"))
    assert report.build_parser().parse_args(["~/d"]).folders == [Path("/home/me/d")]


def test_closed_streams_are_nowhere_and_no_file_takes_their_place(tmp_path: Path) -> None:
    code = """
import os, subprocess, sys
from hydratron.cli import main
sys.argv[1:] = ["--help"]
code = main()
opened = open("first", "w").fileno()
child = subprocess.run([sys.executable, "-c", "import sys; print(1, flush=True)"]).returncode
sys.exit(10 * (opened < 3) + code + child)
"""
    shell = f'{sys.executable} -c "$1" <&- >&- 2>&-'
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(["sh", "-c", shell, "sh", code], cwd=tmp_path, env=environment)
    assert ran.returncode == 0
    assert (tmp_path / "first").read_text() == ""


@pytest.mark.parametrize("verb", ["train", "plan"])
@pytest.mark.parametrize(
    ("place", "answer"),
    [
        (["-m", "hydra.sweep.dir=file"], "file: file is no folder"),
        (["-m", "hydra.sweep.dir=file/deep"], "file/deep: {here}/file is no folder"),
        (["hydra.run.dir=dangling/job"], "dangling/job: {here}/dangling is no folder"),
        (["hydra.run.dir=/proc/1/job"], "/proc/1/job: /proc/1 cannot be written to"),
    ],
)
def test_a_place_without_room_is_refused_before_anything_starts(
    verb: str, place: list[str], answer: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "file").write_text("mine")
    (elsewhere / "dangling").symlink_to("nowhere")
    assert main([verb, *place]) == 2
    said = capsys.readouterr()
    assert said.err == f"hydratron: {answer.format(here=elsewhere)}\n"
    assert said.out == ""
    assert sorted(path.name for path in elsewhere.iterdir()) == ["dangling", "file"]


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    code = "import sys; from hydratron.cli import main; sys.exit(main(['train', '--cfg', 'job']))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (0, "")
