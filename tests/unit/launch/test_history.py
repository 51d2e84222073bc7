"""Where a job goes on from, and which rows of metrics it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydratron.config.schema import Config
from hydratron.errors import JobError
from hydratron.job import JobFolder
from hydratron.launch.history import keep_rows, last_row, starting_point
from tests.helpers.jobs import checkpoint, steps, write_rows


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "job")


@pytest.fixture
def parent(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "parent")


def test_a_fresh_job_starts_from_scratch(job: JobFolder) -> None:
    assert starting_point(Config(), job) is None


def test_the_own_newest_checkpoint_comes_before_the_parent(
    job: JobFolder, parent: JobFolder
) -> None:
    older, parents = checkpoint(job, 20), checkpoint(parent, 900)
    newest = checkpoint(job, 100)
    assert starting_point(Config(resume=str(parents)), job) == newest != older


def test_resume_names_a_checkpoint_or_a_job(job: JobFolder, parent: JobFolder) -> None:
    older, newest = checkpoint(parent, 20), checkpoint(parent, 40)
    assert starting_point(Config(resume=str(older)), job) == older
    assert starting_point(Config(resume=str(parent.path)), job) == newest


def test_resume_without_a_checkpoint_is_refused(job: JobFolder, parent: JobFolder) -> None:
    gone = parent.checkpoints / "step_00000020"
    for path in (parent.path, gone):
        with pytest.raises(JobError, match=f"^resume={path}: a checkpoint folder"):
            starting_point(Config(resume=str(path)), job)


@pytest.mark.fault(52)
def test_rows_after_the_checkpoint_are_cut_off(job: JobFolder) -> None:
    write_rows(job, 10, 20, 30, 40)
    with job.metrics.open("a") as file:
        file.write('{"step": 15, "tok')
    keep_rows(job, checkpoint(job, 20))
    assert steps(job) == [10, 20]


def test_without_a_checkpoint_no_row_stays(job: JobFolder) -> None:
    write_rows(job, 10)
    keep_rows(job, None)
    keep_rows(job, None)
    assert not job.metrics.exists()


def test_rows_of_the_parent_are_copied(job: JobFolder, parent: JobFolder) -> None:
    write_rows(parent, 10, 20, 30)
    write_rows(job, 25)
    keep_rows(job, checkpoint(parent, 20))
    assert steps(job) == [10, 20]
    assert steps(parent) == [10, 20, 30]


@pytest.mark.fault(52)
def test_the_last_row_has_the_newest_value_of_each_key(job: JobFolder) -> None:
    assert last_row(job) == {}
    job.path.mkdir()
    padding = '{"step": 1, "lr": 1.0}\n' * 2000
    job.metrics.write_text(padding + '{"step": 2, "val/loss": 3.0}\n{"step": 3, "lr": 2.0}\n{"st')
    assert last_row(job) == {"step": 3, "lr": 2.0, "val/loss": 3.0}
