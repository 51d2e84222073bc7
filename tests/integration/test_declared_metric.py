"""A logged metric of one's own: its row and the call that logs it, in a copy, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from hydratron.config.folders import conf_dir

CHECKOUT = conf_dir().parent
ROW = 'Metric("train/answer", "The answer", "of everything", column="answer"),'
CALL = '"train/answer": 42.5, "train/unlisted": 7.25,'
WORKSPACE = """
import json, sys
from pathlib import Path
from hydratron.reporting.records import read_runs
from hydratron.workspace.spec import columns, workspace
runs = read_runs(Path(sys.argv[1]))
plots = [plot for plot in workspace(runs, "t", "e", "p").sections[0].panels]
print(json.dumps({"titles": [p.title for p in plots], "columns": columns(runs, [])}))
"""


def insert_after(path: Path, anchor: str, line: str) -> None:
    """The line behind the one line that holds the anchor, with the same indentation."""
    lines = path.read_text().splitlines()
    (at,) = [index for index, text in enumerate(lines) if anchor in text]
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    path.write_text("\n".join([*lines[: at + 1], indent + line, *lines[at + 1 :]]) + "\n")


def python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_files_make_a_metric_that_is_everywhere(tmp_path: Path) -> None:
    for part in ("src", "conf"):
        shutil.copytree(CHECKOUT / part, tmp_path / part)
    source = tmp_path / "src" / "hydratron"
    insert_after(source / "reporting" / "metrics.py", 'Metric("train/spikes"', ROW)
    insert_after(source / "training" / "metrics.py", '"train/spikes": ', CALL)

    steps = ("trainer.max_steps=2", "trainer.val_every_n_steps=2", "logger=none")
    small = ("model=gpt_pico", "trainer=smoke", "tokenizer.vocab_size=257", "hydra.run.dir=job")
    table = python(tmp_path, "-m", "hydratron.cli", "train", *small, *steps)
    assert "answer" in table
    assert "42.5" in table
    assert "unlisted" not in table

    (row,) = pd.read_csv(tmp_path / "job" / "summary.csv").to_dict("records")
    assert (row["train/answer"], row["train/unlisted"]) == (42.5, 7.25)
    page = (tmp_path / "job" / "dashboard.html").read_text()
    assert "<h3>The answer</h3><small>of everything</small>" in page
    others = page.split("<h2>Other metrics</h2>")[1].split("<section")[0]
    assert others.count("<h3>") == 1
    assert "<h3>Train unlisted</h3>" in others

    shown = json.loads(python(tmp_path, "-c", WORKSPACE, "job"))
    assert {"The answer", "Train unlisted"} <= {*shown["titles"]}
    assert {"summary:train/answer", "summary:train/unlisted"} <= {*shown["columns"]}
