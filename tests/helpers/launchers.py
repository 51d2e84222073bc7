"""Launchers as processes of their own, to be interrupted and killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hydratron.config.load import dump
from hydratron.config.schema import Config
from hydratron.launch import worker
from tests.helpers.jobs import TRAINS

ROOT = Path(__file__).parents[2]
# `hydratron`.  A test run in the background ignores Ctrl-C, and so would the command after it.
COMMAND = """if True:
    import signal, sys
    from hydratron.cli import main
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
"""


def python(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = os.environ | {"PYTHONPATH": path, "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen([sys.executable, *arguments], env=environment, **options)


def worker_here(folder: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """`python -m hydratron.launch.worker FOLDER` in this process, which keeps its environment."""
    monkeypatch.setattr(sys, "argv", ["worker", folder])
    before = dict(os.environ)
    try:
        return worker.main()
    finally:
        os.environ.clear()
        os.environ.update(before)


def start_launcher(tmp_path: Path, config: Config, train: str) -> subprocess.Popen[bytes]:
    """A process of its own that runs the job in tmp_path / "job"."""
    source = tmp_path / f"in-{config.launch.node_rank}.yaml"
    dump(config, source)
    return python("-c", launcher_program(tmp_path, train, source), start_new_session=True)


def launcher_program(tmp_path: Path, train: str, source: Path | None = None) -> str:
    # A test run in the background ignores Ctrl-C, and so would this process after it.
    return f"""
import signal, sys
from pathlib import Path
from hydratron.config.load import load
from hydratron.job import exit_code
from hydratron.launch.run import run_job
from tests.helpers.jobs import position
signal.signal(signal.SIGINT, signal.default_int_handler)
config = load(Path({str(source or tmp_path / "in.yaml")!r}))
result = run_job(config, Path({str(tmp_path / "job")!r}), [], position(), "{TRAINS}:{train}")
sys.exit(exit_code(result))
"""


def ranks_run(folder: Path) -> Callable[[], bool]:
    return lambda: all((folder / f"running_{rank}").exists() for rank in (0, 1))
