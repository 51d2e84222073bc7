"""Checkpoints that were damaged: the newest whole one is gone on from, and that is said."""

from __future__ import annotations

import dataclasses
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hydratron.checkpoint.choice import retain
from hydratron.checkpoint.folder import verify
from hydratron.config.schema import Config
from hydratron.errors import HydratronError, JobError
from hydratron.job import JobFolder
from hydratron.launch.history import choose, starting_point
from hydratron.launch.run import run_job
from tests.helpers.jobs import TRAINS, checkpoint, position, small_config, steps, write_rows
from tests.helpers.ranks import run_ranks
from tests.helpers.saves import write

pytestmark = pytest.mark.fault


def flip(file: Path, draw: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def cut(file: Path, draw: random.Random) -> None:
    file.write_bytes(file.read_bytes()[: draw.randrange(file.stat().st_size)])


def lose(file: Path, draw: random.Random) -> None:
    file.unlink()


def linked(file: Path, draw: random.Random) -> None:
    """The same bytes, but elsewhere."""
    elsewhere = file.parent.parent.parent / "elsewhere"
    shutil.move(file, elsewhere)
    file.symlink_to(elsewhere)


def save_rank(rank: int, ranks: int, path: Path) -> None:
    write(rank, JobFolder(path), 1)


def choose_rank(rank: int, ranks: int, path: Path, resume: str | None) -> tuple[Path | None, Any]:
    start, passed = choose(Config(resume=resume), JobFolder(path))
    return None if start is None else start.path, passed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run_ranks(save_rank, 2, folder)
    return folder / "checkpoints" / "step_00000001"


@pytest.mark.fault(19)
@pytest.mark.parametrize("flips", [20, pytest.param(200, marks=pytest.mark.whole)])
def test_every_flipped_bit_is_found(
    whole: Path, flips: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    draw, found = random.Random(19), 0
    path = shutil.copytree(whole, tmp_path / whole.name)
    for _ in range(flips):
        file = draw.choice(sorted(file for file in path.iterdir() if file.is_file()))
        before = file.read_bytes()
        flip(file, draw)
        try:
            found += {*verify(path)} != {*verify(whole)}
        except HydratronError:
            found += 1
        file.write_bytes(before)
    record_property("measure", f"{found} of {flips} flips found")
    assert found == flips


@pytest.mark.fault(19, 20)
def test_a_damaged_checkpoint_is_passed_over_and_loses_its_name(tmp_path: Path) -> None:
    job, draw = JobFolder(tmp_path / "job"), random.Random(20)
    whole = checkpoint(job, 1)
    damages = [flip, cut, lose, linked]
    for number, damage in enumerate(damages, start=2):
        damage(checkpoint(job, number) / "__0_0.distcp", draw)
    for start, passed in run_ranks(choose_rank, 2, job.path, None):
        assert start == whole
        assert len(passed) == len(damages) + 1
        assert all("missing or changed since" in line for line in passed[:-1])
        assert passed[-1] == "goes on from step_00000001, the newest whole checkpoint"
    # Nothing newer stands in the way of what comes, and the files are kept.
    assert job.checkpoints_newest_first() == [whole]
    assert len([*job.checkpoints.glob("*.damaged")]) == len(damages)


@pytest.mark.fault(19, 20)
def test_without_a_whole_one_nothing_starts_anew(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job")
    lose(checkpoint(job, 1) / "__0_0.distcp", random.Random())
    with pytest.raises(AssertionError, match="none of the 1 checkpoints named is whole"):
        run_ranks(choose_rank, 1, job.path, None)


@pytest.mark.fault(19)
def test_the_checkpoint_that_resume_names_is_the_only_one(tmp_path: Path) -> None:
    parent, job = JobFolder(tmp_path / "parent"), tmp_path / "job"
    older, newest = checkpoint(parent, 1), checkpoint(parent, 2)
    cut(newest / "__0_0.distcp", random.Random())
    with pytest.raises(AssertionError, match=r"step_00000002/__0_0\.distcp: missing or changed"):
        run_ranks(choose_rank, 1, job, str(newest))
    start, passed = run_ranks(choose_rank, 1, job, str(parent.path))[0]
    assert (start, len(passed)) == (older, 2)
    assert newest.is_dir()  # Another job's folder stays as it is.
    (newest / "manifest.json").unlink()
    with pytest.raises(JobError, match=r"^resume=.*not a whole checkpoint"):
        starting_point(Config(resume=str(newest)), JobFolder(job))


@pytest.mark.fault(14, 54)
def test_planted_folders_are_passed_over_and_leftovers_removed(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job")
    whole = checkpoint(job, 1)
    (job.checkpoints / "step_00000007").mkdir()
    (job.checkpoints / "step_00000008").write_text("mine")
    (job.checkpoints / ".step_00000002.partial").mkdir()
    (job.checkpoints / ".step_00000001.removed").mkdir()
    (job.checkpoints / ".mine").mkdir()
    start, passed = run_ranks(choose_rank, 1, job.path, None)[0]
    assert start == whole
    assert [line.split("/")[-1] for line in passed] == [
        "step_00000007: no checkpoint", "step_00000008: no checkpoint",
    ]  # fmt: skip
    left = {path.name for path in job.checkpoints.iterdir()}
    assert left == {"step_00000001", "step_00000007", "step_00000008", ".mine"}


@pytest.mark.fault(21, 46)
def test_only_checkpoints_count_and_the_one_just_written_stays(tmp_path: Path) -> None:
    job = JobFolder(tmp_path)
    older, written, torn = checkpoint(job, 1), checkpoint(job, 2), checkpoint(job, 9)
    lose(torn / "__0_0.distcp", random.Random())
    checkpoint(job, 8)  # of a run that went further
    mine = job.checkpoints / "step_00000003"
    mine.mkdir()
    retain(job, 1, written)
    assert {*job.checkpoints.iterdir()} == {written, torn, mine}
    assert not older.exists()


@pytest.mark.fault(46, 54)
def test_a_save_moves_what_is_in_its_way_and_deletes_nothing(tmp_path: Path) -> None:
    mine = tmp_path / "checkpoints" / "step_00000001"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("mine")
    run_ranks(save_rank, 2, tmp_path)
    assert verify(mine)
    aside = mine.with_name("step_00000001.aside1")
    assert (aside / "thesis.txt").read_text() == "mine"


@pytest.mark.fault(19, 20, 60)
def test_a_job_goes_on_from_the_one_before_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config, job = small_config(tmp_path), JobFolder(tmp_path / "job")
    train = f"{TRAINS}:complete"
    run_job(dataclasses.replace(config), job.path, [], position(), f"{TRAINS}:raise_on_last")
    write_rows(job, 1, 2, 3, 4)
    older, newest = checkpoint(job, 2), checkpoint(job, 3)
    flip(newest / "__0_0.distcp", random.Random(1))
    result = run_job(config, job.path, [], position(), train)
    assert (result["status"], result["resume_from"]) == ("completed", str(older))
    assert steps(job) == [1, 2, 3, 4]
    said = capfd.readouterr().err
    assert f"passed over: {newest}/__0_0.distcp: missing or changed" in said
    assert "goes on from step_00000002, the newest whole checkpoint" in said
