"""A copy of the checkout in which a test adds what a reader would add, and trains with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hydratron.config.folders import conf_dir
from hydratron.job import read_json

CHECKOUT = conf_dir().parent
# Two steps of the smallest model.
SMALLEST = (
    "model=gpt_pico", "model.seq_length=32", "trainer.max_steps=2",
    "trainer.global_batch_size=2", "trainer.val_samples=2", "launch.threads_per_rank=1",
    "logger=none", "data=text", "data.path=text.txt", "tokenizer.vocab_size=257",
)  # fmt: skip


class Copy:
    """`src` and `conf` in a folder; `touched` names the files that were changed through it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched: set[str] = set()
        for part in ("src", "conf"):
            shutil.copytree(CHECKOUT / part, folder / part)

    def create(self, name: str, text: str) -> None:
        """A new file."""
        with (self.folder / name).open("x") as file:
            file.write(text)
        self.touched.add(name)

    def insert(self, name: str, after: str, text: str) -> None:
        """New lines after the only line that is `after`."""
        path = self.folder / name
        lines = path.read_text().splitlines()
        assert lines.count(after) == 1, f"{after!r} in {name}"
        at = lines.index(after) + 1
        path.write_text("\n".join([*lines[:at], *text.splitlines(), *lines[at:]]) + "\n")
        self.touched.add(name)

    def run(self, *arguments: str) -> str:
        """What `hydratron` prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "hydratron.cli", *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder / "src")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def train(self, *overrides: str) -> dict[str, Any]:
        """The result of two steps of the smallest model, whose job is in `job`."""
        (self.folder / "text.txt").write_text("so it goes, and on it goes; " * 400)
        self.run("train", *SMALLEST, "hydra.run.dir=job", *overrides)
        return read_json(self.folder / "job" / "result.json") or {}
