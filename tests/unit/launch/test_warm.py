"""The server of the ranks starts wherever the command is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from hydratron.cli import main
from hydratron.launch.warm import start
sys.argv[1:] = ["--version"]
main()
process = start(print, ("started",), "rank 0", ["queue"])
process.join()
sys.exit(process.exitcode)
"""


def started(tmp_path: Path, work: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command of the user's, installed elsewhere, that starts a process from `work`."""
    command = tmp_path / "bin" / "hydratron"
    command.parent.mkdir()
    command.write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, str(command)],
        cwd=work,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", ["queue", "random", "signal", "pickle"])
def test_modules_in_the_working_folder_are_not_imported(tmp_path: Path, name: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / f"{name}.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n"
    )
    done = started(tmp_path, tmp_path / "work")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("started\n")
    assert not (tmp_path / "work" / f"{name}.ran").exists()


def test_a_long_temporary_folder_is_not_too_long_for_a_socket(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    done = started(tmp_path, tmp_path, TMPDIR=str(long))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("started\n")


def test_python_m_hydratron_works_beside_such_modules(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("raise RuntimeError('the script of the user ran')\n")
    command = [sys.executable, "-m", "hydratron", "train", "modl=gpt_nano"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("hydratron: modl=gpt_nano: no such option; nearest: model=")
