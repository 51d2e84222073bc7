"""A copy of the checkout in which a test adds what a reader would add."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from hydratron.config.folders import conf_dir

CHECKOUT = conf_dir().parent


class Copy:
    """`src` and `conf` in a folder; every change through it returns the file that it touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("src", "conf"):
            shutil.copytree(CHECKOUT / part, folder / part)

    def create(self, name: str, text: str) -> str:
        """A new file."""
        with (self.folder / name).open("x") as file:
            file.write(text)
        return name

    def insert(self, name: str, anchor: str, text: str) -> str:
        """New lines after the only line that holds the anchor."""
        path = self.folder / name
        lines = path.read_text().splitlines()
        (at,) = [number for number, line in enumerate(lines) if anchor in line]
        path.write_text("\n".join([*lines[: at + 1], *text.splitlines(), *lines[at + 1 :]]) + "\n")
        return name

    def python(self, *arguments: str) -> str:
        """What a process prints that imports the copy; it must succeed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder / "src")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
