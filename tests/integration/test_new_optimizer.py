"""An optimizer is added by two files, its row and its values, and trains: tried in a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from hydratron.config.folders import conf_dir
from hydratron.job import read_json

CHECKOUT = conf_dir().parent
TABLE = "OPTIMIZERS: dict[str, Optimizer] = {\n"
ROW = """\
    "nadam": Optimizer("NAdam", lambda optim: {"betas": (optim.beta1, optim.beta2)}),
"""
VALUES = "# Adam with Nesterov's momentum\nname: nadam\nlr: 2.0e-3\n"


def test_two_files_add_an_optimizer(tmp_path: Path) -> None:
    for part in ("src", "conf"):
        shutil.copytree(CHECKOUT / part, tmp_path / part)
    table = tmp_path / "src" / "hydratron" / "config" / "optimizers.py"
    source = table.read_text()
    assert source.count(TABLE) == 1
    table.write_text(source.replace(TABLE, TABLE + ROW))
    (tmp_path / "conf" / "optim" / "nadam.yaml").write_text(VALUES)

    command = "train model=gpt_pico model.seq_length=16 optim=nadam tokenizer.vocab_size=300"
    command += " trainer.max_steps=2 trainer.val_samples=1 trainer.global_batch_size=1"
    command += " logger=none checkpoint.at_end=false hydra.run.dir=job"
    done = subprocess.run(
        [sys.executable, "-m", "hydratron.cli", *command.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = read_json(tmp_path / "job" / "result.json") or {}
    assert (result["status"], result["step"]) == ("completed", 2)
    assert "name: nadam" in (tmp_path / "job" / "config.yaml").read_text()
