"""Calls that hear no signal, and an interrupt that does not wait for them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from hydratron.data.interruptible import interruptible
from hydratron.data.preparer import pool
from hydratron.data.preparer.blocks import Block, Texts


@pytest.fixture(autouse=True)
def _interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Deaf:
    """Work that goes on through an interrupt, until it is released."""

    def __init__(self) -> None:
        self.release, self.ended = threading.Event(), threading.Event()

    def __call__(self, *arguments: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            self.release.wait(60)
        finally:
            self.ended.set()


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    work = Deaf()
    yield work
    work.release.set()


def test_an_interrupt_is_raised_at_once(deaf: Deaf) -> None:
    with pytest.raises(KeyboardInterrupt):
        interruptible(deaf)
    assert not deaf.ended.is_set()


def test_a_single_block_can_be_interrupted(deaf: Deaf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "Worker", lambda job: deaf)
    block: Block = Texts([(0, "a")])
    job: Any = None
    with pytest.raises(KeyboardInterrupt):
        list(pool.encode_blocks([block], job, 1))
    assert not deaf.ended.is_set()


def test_results_and_errors_come_back() -> None:
    assert interruptible(lambda: "done") == "done"
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0)
