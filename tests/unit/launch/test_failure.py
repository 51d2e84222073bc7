"""failure.json tells the first cause, not what followed from it."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

import pytest

from hydratron.job import JobFolder, read_json, write_json
from hydratron.launch import failure
from hydratron.launch.memory import kills
from tests.helpers.jobs import write_rows

PEER = "[/src/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:16041"


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path)


def recorded(job: JobFolder) -> tuple[object, object, object]:
    content = read_json(job.failure)
    assert content is not None
    return content["rank"], content["kind"], content["message"]


def test_where_there_is_room_for_a_line_only_the_traceback_is_left_out(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def of_one_block(path: Path, text: str, **options: str) -> int:
        if len(text) > 400:
            raise OSError(errno.EFBIG, "File too large")
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", of_one_block)
    try:
        raise OSError(errno.ENOSPC, "No space left on device") from ValueError("x" * 400)
    except OSError as error:
        first = failure.raised(job, 0, error)
    assert first
    assert recorded(job) == (0, "OSError", "[Errno 28] No space left on device")


def test_an_exception_is_described(job: JobFolder) -> None:
    write_rows(job, 10, 20)
    try:
        raise ValueError("on purpose")
    except ValueError as error:
        first = failure.raised(job, 1, error)
    assert first
    content = read_json(job.failure)
    assert content is not None
    assert recorded(job) == (1, "ValueError", "on purpose")
    assert content["step"] == 20
    assert "test_failure.py" in content["traceback"]
    assert sorted(path.name for path in job.path.iterdir()) == ["failure.json", "metrics.jsonl"]


@pytest.mark.fault(53)
def test_the_first_cause_stays_without_hard_links(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert failure.raised(job, 1, ValueError("first"))
    assert not failure.raised(job, 0, ValueError("second"))
    assert recorded(job) == (1, "ValueError", "first")
    assert [path.name for path in job.path.iterdir()] == ["failure.json"]


def test_the_first_cause_stays(job: JobFolder) -> None:
    failure.raised(job, 1, ValueError("first"))
    assert not failure.raised(job, 0, RuntimeError(PEER))
    failure.ended(job, 0, -signal.SIGABRT)
    assert recorded(job) == (1, "ValueError", "first")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (-signal.SIGKILL, (1, "Killed", "rank 1 was killed by SIGKILL")),
        (7, (1, "Exit", "rank 1 ended with code 7")),
        (1, (0, "RuntimeError", PEER)),
    ],
)
def test_a_lost_peer_gives_way_to_how_the_peer_ended(
    job: JobFolder, code: int, expected: tuple[int, str, str]
) -> None:
    failure.raised(job, 0, RuntimeError(PEER))
    failure.ended(job, 1, code)
    assert recorded(job) == expected


def test_a_time_out_found_late_is_a_lost_peer_too(job: JobFolder) -> None:
    failure.raised(job, 0, RuntimeError("Application timeout caused pair closure"))
    assert failure.lost_peer(job)


def test_ends_without_an_exception_are_named(job: JobFolder) -> None:
    failure.ended(job, 2, 1)
    assert recorded(job) == (2, "Exit", "rank 2 ended with code 1")
    job.failure.unlink()
    failure.ended(job, None, -40)
    assert recorded(job) == (None, "Killed", "torchrun was killed by signal 40")
    job.failure.unlink()
    failure.raised(job, 1, SystemExit(3))
    assert recorded(job) == (1, "SystemExit", "sys.exit(3)")


@pytest.mark.fault(65)
def test_a_kill_for_memory_is_named_as_such(job: JobFolder, tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    assert kills([counter]) == 0
    counter.write_text("oom 9\noom_kill 3\n")
    assert kills([tmp_path / "absent", counter]) == 3
    failure.ended(job, 1, -signal.SIGKILL, starved=True)
    found = read_json(job.failure)
    assert found is not None
    assert (found["kind"], found["rank"]) == ("OutOfMemory", 1)
    assert found["message"].startswith("rank 1 was killed for lack of memory")


def test_nothing_is_recorded_after_the_result(job: JobFolder) -> None:
    write_json(job.result, {"status": "completed"})
    failure.ended(job, 0, -signal.SIGSEGV)
    assert not job.failure.exists()
