"""A program in a process of its own, with other hash seeds and threads."""

from __future__ import annotations

import os
import subprocess
import sys


def printed(program: str, *arguments: str, **environment: str) -> str:
    """What it prints; a failure or anything on standard error is an error of the test."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    )
    assert done.stderr == ""
    return done.stdout.strip()
