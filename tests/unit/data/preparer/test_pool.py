"""Processes that encode: the same results for any number of them, and none survives."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hydratron.data.preparer import pool
from hydratron.data.preparer.blocks import Block, Lines, Texts
from hydratron.data.preparer.pool import encode_blocks, usable_cores
from hydratron.data.preparer.work import Encoded, Job
from hydratron.data.tokenizer import train_bpe
from hydratron.errors import DataError, Problem
from tests.unit.data.conftest import sentence

JOB = Job(
    train_bpe([sentence(i) for i in range(60)], 300).to_json(), "<u2", 1, "document", 299, "en"
)
BLOCKS: list[Block] = [Texts([(0, sentence(i)), (0, sentence(i + 1))]) for i in range(12)]


def content(results: Iterator[Encoded]) -> list[tuple[list[int], list[int]]]:
    return [(r.batches[0].tokens.tolist(), r.batches[0].sizes.tolist()) for r in results]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(pool, "ProcessPoolExecutor", refuse)


def test_results_come_in_order_from_any_number_of_workers() -> None:
    expected = [pair for block in BLOCKS for pair in content(encode_blocks([block], JOB, 1))]
    assert content(encode_blocks(BLOCKS, JOB, 1)) == expected
    assert content(encode_blocks(iter(BLOCKS), JOB, 3)) == expected


@pytest.mark.usefixtures("in_process")
def test_a_single_block_starts_no_process() -> None:
    assert len(list(encode_blocks(BLOCKS[:1], JOB, 4))) == 1
    assert list(encode_blocks([], JOB, 4)) == []


def test_few_blocks_are_read_ahead() -> None:
    read = 0

    def blocks() -> Iterator[Block]:
        nonlocal read
        for block in BLOCKS * 3:
            read += 1
            yield block

    results = encode_blocks(blocks(), JOB, 1)
    next(results)
    assert read <= 2 + pool.AHEAD
    results.close()
    assert read <= 2 + pool.AHEAD


def test_the_first_error_of_the_input_is_the_one_that_is_raised() -> None:
    broken = Lines(Path("a.jsonl"), 1, b'{"text": "x"}\n{"text": \n', ("text",))

    def truncated(first: Sequence[Block]) -> Iterator[Block]:
        yield from first
        raise DataError([Problem("a.jsonl", "", "ends too early")])

    for blocks in ([broken], [BLOCKS[0], broken], [broken, *BLOCKS, BLOCKS[0]]):
        with pytest.raises(DataError, match=r"a.jsonl:2: not a JSON object"):
            list(encode_blocks(truncated(blocks), JOB, 2))
    for count in (0, 1, 5):
        results = encode_blocks(truncated(BLOCKS[:count]), JOB, 2)
        for _ in range(count):
            next(results)
        with pytest.raises(DataError, match="ends too early"):
            next(results)


def children() -> list[int]:
    """The processes that this one has started and that still run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if re.search(rf"^PPid:\s+{os.getpid()}$", text, re.M) and "State:\tZ" not in text:
            found.append(int(status.parent.name))
    return found


def workers() -> list[int]:
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children()}
    return [pid for pid, command in commands.items() if b"spawn_main" in command]


def test_a_worker_that_is_killed_ends_the_work_with_one_line() -> None:
    results = encode_blocks(BLOCKS * 10, JOB, 2)
    next(results)
    os.kill(workers()[0], signal.SIGKILL)
    with pytest.raises(DataError) as caught:
        list(results)
    assert str(caught.value).startswith("prepare: a worker died, perhaps for want of memory")
    assert workers() == []


def test_whoever_stops_early_leaves_no_process() -> None:
    results = encode_blocks(BLOCKS * 10, JOB, 2)
    next(results)
    assert workers()
    results.close()
    assert workers() == []


def test_workers_do_not_see_an_interrupt() -> None:
    results = encode_blocks(BLOCKS, JOB, 1)
    next(results)
    for pid in workers():
        os.kill(pid, signal.SIGINT)
    assert len(list(results)) == len(BLOCKS) - 1


def test_the_usable_cores_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3, 7}, raising=False)
    assert usable_cores() == 3
