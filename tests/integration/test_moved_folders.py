"""A job folder that was moved together with its tokens, or without: it trains, and it reports."""

from __future__ import annotations

import shutil
from pathlib import Path

from hydratron.cli import main
from hydratron.config.load import dump, from_dict
from hydratron.config.schema import Config
from hydratron.job import JobFolder, read_json
from tests.helpers.launchers import python
from tests.helpers.prepared import synthetic_prepared


def job_in(outputs: Path) -> tuple[JobFolder, Config]:
    """A job that was never run, as a launcher leaves it, with its tokens in the cache."""
    config = from_dict(
        {
            "model": {"num_layers": 1, "hidden_size": 32, "num_attention_heads": 2},
            "trainer": {"accelerator": "cpu", "val_every_n_steps": 2, "val_samples": 2},
            "logger": {"kind": "none"},
        }
    )
    config.model.seq_length, config.trainer.max_steps = 16, 2
    config.data.prepared = str(synthetic_prepared(outputs / "cache" / "1f2e", 60))
    job = JobFolder(outputs / "sweep" / "000_job")
    job.path.mkdir(parents=True)
    dump(config, job.config)
    return job, config


def worker(folder: Path, *options: str) -> int:
    command = ("-m", "hydratron.launch.worker", str(folder), *options)
    return python(*command, cwd=folder.parent).wait()


def test_a_moved_job_trains_resumes_and_reports(tmp_path: Path) -> None:
    job_in(tmp_path / "here" / "outputs")
    (tmp_path / "here").rename(tmp_path / "there")
    job = JobFolder(tmp_path / "there" / "outputs" / "sweep" / "000_job")
    assert worker(job.path) == 0
    assert main(["report", str(job.path.parent)]) == 0

    copied = JobFolder(tmp_path / "usb" / "000_job")
    shutil.copytree(job.path, copied.path)
    (tmp_path / "there" / "outputs" / "cache").rename(tmp_path / "tokens")
    copied.result.unlink()
    shutil.rmtree(copied.checkpoints)
    _, config = job_in(tmp_path / "other")
    config.data.prepared = "/gone/outputs/cache/1f2e"
    dump(config, copied.config)
    assert worker(copied.path) == 1
    failed = read_json(copied.failure)
    assert failed is not None
    assert "--prepared FOLDER" in failed["message"]
    assert worker(copied.path, "--prepared", str(tmp_path / "tokens" / "1f2e")) == 0
    result = read_json(copied.result)
    assert result is not None
    assert (result["status"], result["step"]) == ("completed", 2)
