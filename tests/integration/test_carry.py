"""Jobs that are carried to a machine with torch and lightning alone, and their results back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from hydratron.cli import main
from hydratron.job import JobFolder, read_json
from hydratron.launch import batch
from tests.helpers.launchers import ROOT
from tests.unit.reproduce.small_artifact import write_artifact

# Broken modules of these names stand before all others.  (Others of this project's libraries are
# imported by Lightning wherever they are installed.)
ABSENT = ("hydra", "wandb", "pandas", "hydra_plugins")
JOBS = Path("outputs/reproduce/fig1_thing/tiny/only")
MODEL = "{num_layers: 1, hidden_size: 32, num_attention_heads: 2, seq_length: 16}"


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command of a profile of two jobs, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    artifact = write_artifact(tmp_path / "experiments")
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat and looked at the dog that ran away\n\n" * 400)
    stage = [
        "model=gpt_pico",
        "data=text",
        f"data.path={text}",
        "tokenizer.vocab_size=270",
        *(f"model.{line.strip(' {}').replace(': ', '=')}" for line in MODEL.split(",")),
        "trainer.max_steps=4",
        "trainer.val_every_n_steps=2",
        "trainer.val_samples=2",
        "checkpoint.every_n_steps=2",
        "logger=none",
        "seed=1,2",
    ]
    content = {
        "title": "small",
        "metrics": ["val/loss"],
        "profiles": {
            "tiny": {
                "about": "two jobs",
                "gpus": 8,
                "stages": [{"name": "only", "overrides": stage}],
            }
        },
    }
    (artifact.folder / "profiles.yaml").write_text(json.dumps(content))
    return ["reproduce", artifact.folder.name, "--profile", "tiny"]


def elsewhere(folder: Path, *options: str) -> int:
    """The batch as a process that has neither Hydra nor W&B, nor this project's other libraries."""
    blocked = folder.parent / "blocked"
    for name in ABSENT:
        (blocked / name).mkdir(parents=True, exist_ok=True)
        (blocked / name / "__init__.py").write_text(f"raise ImportError('{name} is not here')\n")
    path = os.pathsep.join([str(blocked), str(ROOT / "src")])
    command = [sys.executable, "-m", "hydratron.launch.batch", str(folder), *options]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False).returncode


def test_jobs_run_without_hydra_and_come_back_to_a_verdict(
    profile: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*profile, "--carry-out", "usb"]) == 0
    assert "2 jobs and their tokens are in usb" in capfd.readouterr().out
    assert not Path("outputs/reproduce").exists()
    moved = tmp_path / "far" / "away"
    shutil.move("usb", moved)
    shutil.move("outputs", tmp_path / "hidden")  # The tokens of this side are out of reach.
    assert elsewhere(moved) == 0
    shutil.move(tmp_path / "hidden", "outputs")

    assert main([*profile, "--carry-back", str(moved)]) == 0
    assert "2 outcomes taken" in capfd.readouterr().out
    (name,) = (path.name for path in JOBS.parent.iterdir())
    jobs = [JobFolder(path) for path in sorted((JOBS.parent / name).iterdir()) if path.is_dir()]
    assert [job.status() for job in jobs] == ["completed"] * 2
    assert not jobs[0].checkpoints.exists()
    known = read_json(jobs[0].provenance)
    assert known is not None
    assert "seed=1" in known["overrides"]
    # What is done is not carried again.
    assert main([*profile, "--carry-out", "usb"]) == 0
    assert "0 jobs" in capfd.readouterr().out


def test_outcomes_so_far_go_into_one_file_and_come_back_from_it(
    profile: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*profile, "--pack", "kept.tar.xz"]) == 2
    assert "no job of this profile has an outcome yet" in capfd.readouterr().err
    assert not Path("kept.tar.xz").exists()
    file = Path("experiments") / profile[1] / "profiles.yaml"
    file.write_text(file.read_text().replace('"gpus": 8, ', ""))
    assert main(profile) == 0
    jobs = [JobFolder(path.parent) for path in sorted(Path("outputs").rglob("result.json"))]
    shutil.rmtree(jobs[1].path)
    assert main([*profile, "--pack", "kept.tar.xz"]) == 0
    assert "1 outcomes are in kept.tar.xz" in capfd.readouterr().out
    assert main([*profile, "--pack", "again.tar.xz"]) == 0
    assert Path("kept.tar.xz").read_bytes() == Path("again.tar.xz").read_bytes()
    with tarfile.open("kept.tar.xz") as archive:
        assert not [name for name in archive.getnames() if "checkpoints" in name]

    rows = jobs[0].metrics.read_bytes()
    shutil.rmtree("outputs")
    assert main([*profile, "--carry-back", "kept.tar.xz"]) == 1  # The other one is still missing.
    assert jobs[0].status() == "completed"
    assert jobs[0].metrics.read_bytes() == rows
    assert not jobs[0].checkpoints.exists()
    assert not jobs[1].path.exists()
    assert "1 outcomes taken from kept.tar.xz" in capfd.readouterr().out

    cut = tmp_path / "cut.tar.xz"
    cut.write_bytes(Path("kept.tar.xz").read_bytes()[:-200])
    assert main([*profile, "--carry-back", str(cut)]) == 2
    assert "cut.tar.xz: cannot be unpacked" in capfd.readouterr().err


def test_when_the_time_is_over_the_job_saves_and_the_same_command_goes_on(
    profile: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*profile, "--carry-out", "usb"]) == 0
    jobs = batch.jobs_under(Path("usb"))
    monkeypatch.setattr(batch, "command", lambda job: [sys.executable, "-c", "while True: pass"])
    monkeypatch.setattr(batch, "LEAST_SECONDS", 0.2)
    assert batch.run(Path("usb"), seconds=0.5) == 1
    assert [job.status() for job in jobs] == ["unfinished"] * 2


def test_what_cannot_be_carried_is_said_before_anything_is_written(
    profile: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*profile, "--carry-back", "nowhere"]) == 2
    assert "nowhere: holds no job of this profile" in capsys.readouterr().err
    file = Path("experiments") / profile[1] / "profiles.yaml"
    file.write_text(file.read_text().replace("data=text", "data=indexed"))
    assert main([*profile, "--carry-out", "usb"]) == 2
    assert "data=indexed" in capsys.readouterr().err
    assert not Path("usb").exists()
