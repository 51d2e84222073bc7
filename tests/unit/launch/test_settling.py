"""A job is recognised by its configuration: whatever its place, order and company."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydratron.config.plan import plan
from hydratron.errors import JobError
from hydratron.job import JobFolder, write_json
from hydratron.launch.attempt import record
from hydratron.launch.settling import settle

S = "gpt_nano-single-pre"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settled(*lines: str, verb: str = "train") -> list[tuple[str, bool]]:
    """Each job's name in the sweep `out`, and whether it is finished; nothing runs."""
    planned, results = settle(plan([*lines, "hydra.sweep.dir=out"], multirun=True), verb)
    found = [result is not None for result in results]
    return list(zip((job.name for job in planned.jobs), found, strict=True))


def ran(*lines: str, status: str | None = "completed", verb: str = "train") -> list[str]:
    """Run the sweep `out` as far as its folders tell; returns the names of what had to run."""
    planned, results = settle(plan([*lines, "hydra.sweep.dir=out"], multirun=True), verb)
    new = []
    for job, result in zip(planned.jobs, results, strict=True):
        if result is None:
            folder = JobFolder(Path("out") / job.name)
            record(job.config, folder, job.overrides, None, verb=verb)
            if status:
                write_json(folder.result, {"status": status})
            new.append(job.name)
    return new


def test_reordered_inserted_and_removed_values_run_only_what_is_new() -> None:
    first = [f"000_{S}-s1", f"001_{S}-s2", f"002_{S}-s3"]
    assert ran("seed=1,2,3") == first
    assert ran("seed=3,1,2") == []
    assert ran("seed=shuffle(range(1,4))") == []
    assert ran("seed=2") == []
    assert ran("seed=0,1,2,3,4") == [f"000_{S}-s0", f"004_{S}-s4"]
    assert [name for name, _ in settled("seed=3,0")] == [f"002_{S}-s3", f"000_{S}-s0"]
    assert len(list(Path("out").iterdir())) == 5


def test_another_axis_finds_the_jobs_of_its_default() -> None:
    ran("seed=1,2")
    assert ran("layernorm=pre,post", "seed=1,2", "optim.lr=1e-3,2e-3") == [
        f"001_{S}-lr0.002-s1",
        f"003_{S}-lr0.002-s2",
        *(f"00{n}_gpt_nano-single-post-lr{lr}-s{seed}" for n, lr, seed in (
            (4, "0.001", 1), (5, "0.002", 1), (6, "0.001", 2), (7, "0.002", 2)
        )),
    ]  # fmt: skip


def test_a_job_whose_name_is_taken_says_what_differs() -> None:
    assert ran("seed=1", "optim.lr=1e-3") == [f"000_{S}-s1"]
    assert ran("seed=1", "optim.lr=2e-3") == [f"000_{S}-lr0.002-s1"]
    assert ran("seed=1", "optim.lr=2e-3", "trainer.max_steps=7") == [
        f"000_{S}-lr0.002-max_steps7-s1"
    ]
    assert ran("seed=1", "optim.lr=2e-3", "trainer.max_steps=7") == []


def test_an_unfinished_job_goes_on_in_its_folder() -> None:
    ran("seed=1,2", status=None)
    assert settled("seed=2,1") == [(f"001_{S}-s2", False), (f"000_{S}-s1", False)]
    ran("seed=1", status="failed")
    assert settled("seed=0,1")[1] == (f"000_{S}-s1", False)


def test_bookkeeping_makes_no_other_job_but_is_found_again() -> None:
    ran("launch.threads_per_rank=1,2")
    one, two = (f"{n:03d}_{S}-threads_per_rank{n + 1}-s1234" for n in (0, 1))
    assert settled("launch.threads_per_rank=2,1") == [(two, True), (one, True)]
    assert settled("launch.threads_per_rank=4,2") == [(one, True), (two, True)]
    assert settled("launch.threads_per_rank=1,2,4")[2][1] is False


def test_the_same_job_twice_is_two_jobs_once() -> None:
    assert ran("seed=1,1") == [f"000_{S}-s1", f"001_{S}-s1"]
    assert ran("seed=1,1") == []
    assert ran("seed=1,1,1") == [f"002_{S}-s1"]


def test_the_same_words_with_another_meaning_are_refused() -> None:
    ran("seed=1,2")
    for name in (f"000_{S}-s1", f"001_{S}-s2"):
        config = Path("out", name, "config.yaml")
        config.write_text(config.read_text().replace("max_steps: 1000", "max_steps: 900"))
    with pytest.raises(JobError) as caught:
        settled("seed=1,2")
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"out/000_{S}-s1: holds another job (trainer.max_steps: 900 -> 1000)")
    assert second.startswith(f"out/001_{S}-s2: ")


def test_a_name_of_the_users_own_is_not_changed() -> None:
    lines = ("hydra.sweep.subdir='${hydra:job.num}'", "seed=1,2")
    assert ran(*lines) == ["0", "1"]
    assert settled(lines[0], "seed=2,1") == [("1", True), ("0", True)]
    with pytest.raises(JobError, match="out/0: holds another job"):
        settled(lines[0], "seed=0,1,2")


def test_other_verbs_and_unreadable_folders_are_no_jobs_of_ours() -> None:
    ran("seed=1", verb="plan")
    with pytest.raises(JobError, match="holds a job of hydratron plan"):
        settled("seed=1")
    assert settled("seed=1", verb="plan") == [(f"000_{S}-s1", True)]
    for name, text in (("broken", "a: ["), ("old", "what: 1")):
        Path("out", name).mkdir()
        Path("out", name, "config.yaml").write_text(text)
        write_json(JobFolder(Path("out", name)).provenance, {"overrides": [], "versions": {}})
    assert settled("seed=2") == [(f"000_{S}-s2", False)]


def test_a_single_job_beside_others(tmp_path: Path) -> None:
    pattern = "hydra.run.dir='out/${hydratron_job:}'"
    ran("seed=1,2")
    planned, results = settle(plan([pattern, "seed=2"]), "train")
    assert (planned.jobs[0].name, results[0]) == (f"001_{S}-s2", {"status": "completed"})
    assert planned.place(planned.folder) == f"hydra.run.dir='out/001_{S}-s2'"
