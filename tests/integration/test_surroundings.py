"""A disk that fills, folders that are closed, taken or deleted, readers that go: real processes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from hydratron.cli import main
from hydratron.config.load import dump
from hydratron.job import JobFolder, read_json
from hydratron.launch.run import run_job
from hydratron.locks import locked
from hydratron.reporting import report
from tests.helpers.disk import UNPRIVILEGED
from tests.helpers.jobs import TRAINS, position, small_config
from tests.helpers.launchers import python, worker_here
from tests.helpers.prepared import synthetic_prepared
from tests.helpers.storm import Storm, fill_disk, storm_config

pytestmark = pytest.mark.fault
OPTIONS = ("model=gpt_pico", "model.seq_length=16", "trainer.max_steps=2", "logger=none")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_prepared(tmp_path_factory.mktemp("data") / "small", 60)


@pytest.mark.fault(16, 17)
def test_a_disk_that_fills_under_a_job_ends_it_in_one_line(data: Path, tmp_path: Path) -> None:
    storm = Storm(tmp_path, storm_config(data, "single", 100_000), random.Random(16))
    assert not storm.attempt_here(fill_disk)
    result = read_json(storm.job.result)
    assert result is not None
    assert (result["status"], result["rank"]) == ("failed", 0)
    assert "too large" in result["message"]
    assert "\n" not in result["message"]
    assert not [*storm.job.checkpoints.glob(".*")]


@pytest.mark.fault(61)
def test_a_configuration_that_was_edited_is_no_longer_the_jobs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = JobFolder(tmp_path / "job")
    config = storm_config(data, "single", 2)
    assert run_job(config, job.path, [], position())["status"] == "completed"
    capsys.readouterr()
    config.trainer.global_batch_size = 16
    config.launch.threads_per_rank = 2  # May differ.
    dump(config, job.config)
    assert worker_here(str(job.path), monkeypatch) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"hydratron: {job.config}: edited since step_00000002 (trainer.global_batch_size: 8 -> 16);"
        " undo that, or name the checkpoint by resume= in another folder"
    )
    assert job.checkpoints_newest_first()


CLOSED = f"""{UNPRIVILEGED}
import sys
from hydratron.cli.jobs import check_place
from hydratron.config.plan import plan
from hydratron.errors import HydratronError
for place in sys.argv[1:]:
    try:
        check_place(plan([f"hydra.run.dir={{place}}"], False))
        print("passed")
    except HydratronError as error:
        print(error)
"""


@pytest.mark.fault(18)
def test_a_folder_that_is_closed_is_found_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "checkpoints").mkdir(mode=0o555)
    (tmp_path / "open").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", CLOSED, "closed/job", "job", "open"],
        cwd=tmp_path, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert ran.stdout.splitlines() == [
        f"closed/job: {tmp_path}/closed cannot be written to",
        "job/checkpoints: job/checkpoints cannot be written to",
        "passed",
    ]


@pytest.mark.fault(47)
def test_a_sweep_goes_on_when_its_reader_has_gone(data: Path, tmp_path: Path) -> None:
    words = ("train", "-m", *OPTIONS, "seed=1,2", f"data.prepared={data}", "hydra.sweep.dir=out")
    reader, writer = os.pipe()
    code = "import sys; from hydratron.cli import main; sys.exit(main())"
    sweep = python("-c", code, *words, cwd=tmp_path, stdout=writer, stderr=writer)
    os.close(writer)
    assert os.read(reader, 1)  # As `head -1` does.
    os.close(reader)
    assert sweep.wait(120) == 0
    assert len([*tmp_path.glob("out/*/result.json")]) == 2
    assert (tmp_path / "out" / "dashboard.html").exists()


@pytest.mark.fault(63, 51)
def test_a_second_sweep_in_the_folder_of_a_running_one_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("train", "-m", *OPTIONS, "seed=1,2", f"data.prepared={data}", "hydra.sweep.dir=out")
    names = [f"00{n}_gpt_pico-single-pre-s{n + 1}" for n in range(2)]
    for name in names:
        (tmp_path / "out" / name).mkdir(parents=True)
    held = [tmp_path / "out" / name / ".lock" for name in names]
    with locked(held[0]), locked(held[1]):
        assert main([*words]) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if "FAULT" not in line]
    for name in names:
        said = [line for line in lines if f"job {name} failed" in line]
        assert len(said) == 1
        assert said[0].endswith("another process is running this job")
    # Nothing of the running jobs was touched.
    found = {path.name for name in names for path in (tmp_path / "out" / name).iterdir()}
    assert found <= {".lock", ".lock.held"}


@pytest.mark.fault(40)
def test_a_secret_of_the_environment_is_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "0123456789abcdef-canary"
    monkeypatch.setenv("WANDB_API_KEY", secret)
    monkeypatch.setenv("MARKER", "shown")
    config = small_config(tmp_path, ranks=1)
    job = JobFolder(tmp_path / "sweep" / "job")
    result = run_job(config, job.path, ["seed=1"], position(), f"{TRAINS}:complete")
    assert (result["status"], result["marker"]) == ("completed", "shown")
    run_job(config, tmp_path / "sweep" / "bad", [], position(), f"{TRAINS}:raise_on_last")
    report([tmp_path / "sweep"], summary=True)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"dashboard.html", "provenance.json", "failure.json"} <= {file.name for file in files}
    assert not [file for file in files if secret.encode() in file.read_bytes()]


@pytest.mark.fault(59)
@pytest.mark.parametrize("verb", ["train", "report", "prepare", "convert", "evaluate"])
def test_a_deleted_working_folder_is_one_line(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Path.cwd()
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    try:
        (tmp_path / "gone").rmdir()
        assert main([verb, "x"]) == 2
    finally:
        os.chdir(here)
    said = "hydratron: the working folder has been deleted; cd to one that is there\n"
    assert capsys.readouterr().err == said


@pytest.mark.fault(59)
@pytest.mark.parametrize(
    "words",
    [["report"], ["prepare", "--output", "out"], ["train", "--cfg", "job"]],
    ids=lambda w: w[0],
)
def test_a_name_of_300_letters_is_one_line(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "a" * 300
    words = [*words, f"resume={name}" if words[0] == "train" else name]
    assert main(words) in (1, 2)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not [*tmp_path.iterdir()]
